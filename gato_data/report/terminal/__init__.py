"""What `inspect` prints: readable at any width, with and without colour, and in a pipe."""

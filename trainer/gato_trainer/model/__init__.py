"""What is trained: Gato's transformer, its loss, its optimizer, and how it is spread over processes."""

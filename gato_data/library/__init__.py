"""What `import gato_data` gives: datasets, their episodes and tasks, and batches of windows."""

"""RLDS episodes in TFDS directories, read and written without TensorFlow."""

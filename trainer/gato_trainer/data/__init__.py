"""What it is trained on: windows of a mixture, made into tensors and read before they are needed."""

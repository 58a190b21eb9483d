"""What the training minimizes."""

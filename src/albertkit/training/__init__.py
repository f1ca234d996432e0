"""Pre-training in PyTorch: recipe → loop → evaluation → checkpoints that resume exactly."""

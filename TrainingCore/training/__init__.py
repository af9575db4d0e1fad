"""Training of all systems: augmentation, data loading, checkpoints and the training loop."""

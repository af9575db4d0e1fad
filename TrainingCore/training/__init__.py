"""What every system shares while it learns: patches, augmentation, checkpoints, the loop."""

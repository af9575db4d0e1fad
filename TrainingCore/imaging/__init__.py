"""Volumes, registration, masks, intensities and grids."""

"""Architectures, nothing else."""

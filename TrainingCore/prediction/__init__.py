"""Prediction with a trained model: whole volume or tiles, flips, ensembles, uncertainty, completion of inputs."""

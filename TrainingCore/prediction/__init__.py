"""From a bundle to a prediction: whole volume, tiles, flips, ensembles, uncertainty, completion."""

"""Protocols around training: cross-validation, hyper-parameter search, ablation of inputs, learning curves."""

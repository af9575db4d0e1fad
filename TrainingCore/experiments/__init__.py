"""Cross-validation, search, ablation, learning curves."""

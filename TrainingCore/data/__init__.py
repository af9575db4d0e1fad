"""The nouns every command passes on: case, visit, cohort, run, bundle, result, recipe."""

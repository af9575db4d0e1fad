"""Objects shared by all commands: case, visit, cohort, run, bundle, result, recipe."""

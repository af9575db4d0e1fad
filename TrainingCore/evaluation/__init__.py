"""Image, lesion and patient measures, statistics, figures, reports."""

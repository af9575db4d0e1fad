"""Image, lesion and patient measures, and statistics."""

"""Command line, progress, atomic files, signals, processes."""

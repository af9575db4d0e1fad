"""Every page, figure and table of every command."""

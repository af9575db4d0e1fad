"""What is known of each system without importing torch: its paper, the rules of its settings, the masks it needs.

One file per system, which registers itself (systems/registry.py). A file here is all it takes to make a system known.
"""

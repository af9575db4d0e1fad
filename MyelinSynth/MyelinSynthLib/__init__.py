"""What the MyelinSynth module is made of: a room per section of the panel, and `scene` for what all of them need.

patient: volumes chosen, their checks, files for the command, the sample patient
model: bundles and their cards
run: installation, child process, synthesis, its nodes, batch
display: what the views show
review: lesion table, outlines, edits
export: files with the review in them
scene: geometry, provenance, the parameter node
selftest: runs in the application

In each room `panel` says what a click does; everything else works without Qt, on real MRML.
"""

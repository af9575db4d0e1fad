"""Parts of the MyelinSynth module: one package per section of the panel, and `scene`, which all of them use.

patient: chosen volumes, their checks, export for the command, the sample patient
model: bundles and their cards
run: installation, child process, synthesis, its nodes, batch
display: views, layouts, plots, 3D surfaces
review: lesion table, outlines, edits
compare: change from an earlier visit
export: files that include the review
scene: geometry, provenance, the parameter node
selftest: checks that run in the application

In each package, `panel` connects widgets; everything else works without Qt, on real MRML.
"""

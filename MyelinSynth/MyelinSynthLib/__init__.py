"""What the MyelinSynth module is made of; without Qt as far as it can be, so that it is tried on real MRML.

What is given: checks: what is wrong with it, field by field · contrast: are T1w and FLAIR swapped · sampledata: the
simulated patient · geometry: where volumes lie · exchange: nodes to files · models: bundles to choose from.
What runs: childprocess: TrainingCore's commands as processes · devices: the GPUs · install: what must be there first ·
synthesis: the whole way, nodes in, nodes out · background: the same without waiting · batch: many patients.
What comes of it: results: files to nodes · lesions: labels and outlines · surfaces: the same in 3D · edits: measured
again · review: the lesion table · plots · provenance: how a node came about · display: windows, colours · layouts ·
wipe · snapshots · export: the review as files.
Only in the application: parameters: what is chosen · *panel: what a click does · selftest*: what is tried there.
"""

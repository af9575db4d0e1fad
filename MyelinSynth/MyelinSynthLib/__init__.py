"""What the MyelinSynth module is made of; without Qt as far as it can be, so that it is tried on real MRML.

childprocess: TrainingCore's commands as processes · exchange: nodes to files · results: files to nodes · lesions:
labels and outlines · review: the lesion table · provenance: how a node came about · display: windows, colours,
layouts · geometry: where volumes lie · models: bundles to choose from · synthesis: the whole way, nodes in, nodes out.
Only in the application: parameters: what is chosen · *panel: what a click does · install: what must be there first.
"""

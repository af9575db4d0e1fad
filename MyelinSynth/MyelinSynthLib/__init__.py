"""What the MyelinSynth module is made of. Nothing here needs Qt: it works without a GUI and is tested on real MRML.

childprocess: TrainingCore's commands as processes · exchange: nodes to files · results: files to nodes · lesions: labels
and outlines · review: the lesion table · provenance: how a node came about · display: windows, colours, layouts ·
geometry: where volumes lie · synthesis: the whole way, nodes in and nodes out.
"""

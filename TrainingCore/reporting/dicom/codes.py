"""Coded concepts of the DICOM output.

Codes of SNOMED CT, DCM and UCUM are those of DICOM PS3.16: category and region from CID 7150 and CID 4030, the finding
from CID 7140, statistics from CID 7464, units from CID 7181. DICOM has no code for a distribution volume ratio nor for
a map that a network synthesized; those have codes of our own scheme.
"""

from __future__ import annotations

from typing import NamedTuple

OWN_SCHEME, OWN_SCHEME_NAME = "99MYELINSYNTH", "MyelinSynth, private codes"


class Concept(NamedTuple):
    """value, scheme and meaning, in the order of pydicom's `Code`."""

    value: str
    scheme_designator: str
    meaning: str


ABNORMAL_STRUCTURE = Concept("49755003", "SCT", "Morphologically Abnormal Structure")
LESION = Concept("110702", "DCM", "White Matter T2 Hyperintensity")
BRAIN = Concept("12738006", "SCT", "Brain")
ARTIFICIAL_INTELLIGENCE = Concept("123110", "DCM", "Artificial Intelligence")
PROCESSING_EQUIPMENT = Concept("109102", "DCM", "Processing Equipment")
VOLUME = Concept("118565006", "SCT", "Volume")
MEAN = Concept("373098007", "SCT", "Mean")
STANDARD_DEVIATION = Concept("386136009", "SCT", "Standard Deviation")
MINIMUM = Concept("255605001", "SCT", "Minimum")
RATIO_UNIT = Concept("{ratio}", "UCUM", "ratio")
CUBIC_MILLIMETER = Concept("mm3", "UCUM", "mm3")
DVR = Concept("DVR", OWN_SCHEME, "Synthetic distribution volume ratio of [11C]PiB")
SYNTHESIS = Concept("SYNTHESIS", OWN_SCHEME, "Synthesized from MRI by a neural network")

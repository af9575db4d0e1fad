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
IMAGING_PROCEDURE = Concept("363679005", "SCT", "Imaging procedure")
COMMENT = Concept("121106", "DCM", "Comment")
DEVICE = Concept("121007", "DCM", "Device")
REGION = Concept("LESION_REGION", OWN_SCHEME, "Region of the brain that the lesion lies in")
MEASURED_DVR = Concept("PET_DVR", OWN_SCHEME, "Measured distribution volume ratio of [11C]PiB")


class Quantity(NamedTuple):
    """What a column of the lesion table measures: its name, how it was derived from the voxels, and its unit."""

    name: Concept
    derivation: Concept | None = None
    unit: Concept = RATIO_UNIT


def _own(value: str, meaning: str) -> Quantity:
    return Quantity(Concept(value, OWN_SCHEME, meaning))


QUANTITIES = {
    "volume_mm3": Quantity(VOLUME, None, CUBIC_MILLIMETER),
    "mean_dvr": Quantity(DVR, MEAN),
    "sd_dvr": Quantity(DVR, STANDARD_DEVIATION),
    "min_dvr": Quantity(DVR, MINIMUM),
    "ratio_to_nawm": _own("DVR_NAWM_RATIO", "Mean DVR divided by that of the normal-appearing white matter"),
    "surrounding_nawm_dvr": _own("DVR_AROUND", "Mean DVR of the normal-appearing white matter around the lesion"),
    "ratio_to_surrounding": _own("DVR_AROUND_RATIO", "Mean DVR divided by that of the white matter around the lesion"),
    "corrected_ratio": _own("DVR_CORRECTED", "DVR ratio to white matter around, corrected for partial volume"),
    "demyelinated_share": _own("DEMYEL_SHARE", "Share of voxels with a DVR below the NAWM's mean minus 2 SD"),
    "uncertainty": _own("DVR_UNCERTAINTY", "Standard deviation of the mean DVR"),
    "dvr_low": _own("DVR_LOW", "Lower end of the 95 % interval of the mean DVR"),
    "dvr_high": _own("DVR_HIGH", "Upper end of the 95 % interval of the mean DVR"),
    "noise_free_low": _own("DVR_TRUE_LOW", "Lower end of the 95 % interval of the mean DVR without PET noise"),
    "noise_free_high": _own("DVR_TRUE_HIGH", "Upper end of the 95 % interval of the mean DVR without PET noise"),
    "t1w_contrast": _own("T1W_CONTRAST", "T1w minus that around it, in units of white minus grey matter"),
    "flair_contrast": _own("FLAIR_CONTRAST", "FLAIR minus that around it, in SD of the brain"),
    "estimated_loss": _own("MYELIN_LOSS", "Myelin loss estimated from MRI, learnt from simulated lesions"),
    "estimated_loss_low": _own("MYELIN_LOSS_LOW", "Lower end of the 95 % interval of the estimated myelin loss"),
    "estimated_loss_high": _own("MYELIN_LOSS_HIGH", "Upper end of the 95 % interval of the estimated myelin loss"),
    "confidence": _own("CONFIDENCE", "Mean probability of the network that found the lesion"),
    "measured_mean_dvr": Quantity(MEASURED_DVR, MEAN),
}

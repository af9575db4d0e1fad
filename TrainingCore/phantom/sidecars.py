"""JSON sidecars of simulated images."""

from __future__ import annotations

from typing import Any

from ..data.case import QUANTITATIVE, Case
from .edition import EDITION, phantom_edition
from .gadolinium import DOSES
from .microstructure import B_VALUE

SEQUENCE_NAMES = {
    "mprage": ("GR", "MPRAGE"),
    "spoiled": ("GR", "Spoiled gradient echo"),
    "spin_echo": ("SE", "Spin echo"),
    "flair": ("SE\\IR", "Inversion-recovery turbo spin echo"),
    "diffusion": ("EP", "Diffusion-weighted echo planar imaging"),
}
UNITS = {"mtr": "percent", "fa": "unitless", "rd": "um2/ms", "ad": "um2/ms", "adc": "um2/ms"}
STANDARD_DOSE = 0.1  # mmol/kg


def sidecar(case: Case, name: str) -> dict[str, Any]:
    """Create the sidecar of one volume; numbers are rounded so that the same seed gives the same bytes.

    Args:
        case: simulated visit.
        name: volume name.

    Returns:
        BIDS metadata, with the edition of the simulated patient.
    """
    made_by = {"PhantomEdition": EDITION, "PhantomConstants": phantom_edition()["constants"]}
    if name in ("dvr", "dvr_clean"):
        return _pet(case, name) | made_by
    if name == "myelin_loss":
        return {"Simulated": True, "Units": "unitless", "Measure": "lost share of myelin, 0 to 1"} | made_by
    content = _mri(case, name) | made_by
    if name in QUANTITATIVE:
        content["Units"] = UNITS[name]
        content["ResolutionFWHM"] = content["InPlaneResolution"]
        if name != "mtr":
            content["DiffusionBValue"] = 1000.0 * B_VALUE  # s/mm2
    if name in DOSES:
        content["ContrastBolusIngredient"] = "GADOLINIUM"
        content["ContrastDose"] = STANDARD_DOSE * DOSES[name]  # mmol/kg
    return {key: round(value, 6) if isinstance(value, float) else value for key, value in content.items()}


def _mri(case: Case, name: str) -> dict[str, Any]:
    protocol = case.info["protocol"]
    sequence = protocol["mt" if name == "mtr" else "dwi" if name in QUANTITATIVE else name]
    scanning, title = SEQUENCE_NAMES[sequence["kind"]]
    content = {
        "Simulated": True,
        "Manufacturer": "MyelinSynth (simulated)",
        "MagneticFieldStrength": protocol["field_strength"],
        "ScanningSequence": scanning,
        "PulseSequenceDetails": title,
        "RepetitionTime": sequence["repetition"] / 1000.0,
        "EchoTime": sequence["echo"] / 1000.0,
        "FlipAngle": sequence["flip"],
        "SliceThickness": sequence["thickness"],
        "SliceAxis": "ijk"[sequence["slice_axis"]],
        "InPlaneResolution": sequence["in_plane"],
        "NoiseLevel": sequence["noise"],
        "BiasLevel": sequence["bias"],
        "SkullStripped": True,
    }
    if sequence["inversion"]:
        content["InversionTime"] = sequence["inversion"] / 1000.0
    return content


def _pet(case: Case, name: str) -> dict[str, Any]:
    return {
        "Simulated": True,
        "Tracer": "[11C]PiB",
        "Units": "unitless",
        "Measure": "distribution volume ratio",
        "ResolutionFWHM": case.info["pet"]["fwhm_mm"],
        "Noise": name == "dvr",
        "SkullStripped": True,
    }

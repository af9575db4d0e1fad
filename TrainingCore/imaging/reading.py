"""Read one named volume of a patient; its name determines how its values are interpreted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..data.case import ALL_MRI, MASKS, QUANTITATIVE, word_of
from .background import air_at_zero
from .dvr_values import refuse_constant, without_wild_voxels
from .label_maps import read_label_map
from .volumes import Volume, read_volume

DVR_MAPS = ("dvr", "dvr_clean")


def read_named(path: Path | str, name: str) -> Volume:
    """Read a volume by the name it has in a Case.

    The air of MRI is shifted to 0, masks become 0/1, and implausible voxels of a DVR map are filled.

    Args:
        path: file, or DICOM folder for MRI.
        name: volume name: `t1w`, `lesions`, `dvr`, `label_map`, ...

    Returns:
        The volume, with notes.

    Raises:
        BadInput: the file cannot be read or used as this volume.
    """
    if name == "label_map":
        return read_label_map(path)
    volume = read_volume(path, word_of(name), mask=name in MASKS)
    if name in DVR_MAPS:
        refuse_constant(volume.data[volume.data != 0], f"The {word_of(name)} {volume.name}")
        data, note = without_wild_voxels(volume.data, volume.spacing)
        return replace(volume, data=data, notes=(*volume.notes, note) if note else volume.notes)
    if name in ALL_MRI and name not in QUANTITATIVE:
        data, notes = air_at_zero(volume.data)
        return replace(volume, data=data, notes=(*volume.notes, *notes))
    return volume

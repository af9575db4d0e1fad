"""Tissue masks from a given label map: aseg and aparc+aseg of FreeSurfer or FastSurfer, SynthSeg.

All of them use the numbers of FreeSurferColorLUT.txt.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..runtime.errors import BadInput
from . import readers
from .tissues import normal_appearing_white_matter
from .volumes import Volume, resample

CEREBRAL_WHITE, CEREBELLAR_WHITE = (2, 41, 34, 66), (7, 46)  # 34 and 66: crowns, in newer versions
CORPUS_CALLOSUM = (192, 251, 252, 253, 254, 255)
HYPOINTENSITIES = (77, 78, 79, 25, 57, 99)  # white matter that is dark in T1w, and what SAMSEG calls lesion
WHITE_PARCELS = ((3000, 4999), (5001, 5002))  # wmparc: white matter by the gyrus above it, and the rest
CORTEX, CORTEX_PARCELS = (3, 42), ((1000, 2999), (11000, 12999))  # the parcels of two atlases
CEREBELLAR_CORTEX = (8, 47, 183, 184)
DEEP_GREY = (9, 10, 11, 12, 13, 17, 18, 26, 27, 48, 49, 50, 51, 52, 53, 54, 58, 59)
VENTRAL_DIENCEPHALON = (28, 60)  # grey and white mixed: in neither
BRAIN_STEM = (16, 267, 170, 171, 172, 173, 174, 175, 176, 177, 178)
VENTRICLES = (4, 5, 14, 15, 43, 44, 72, 213, 221)
CSF = (24, 257)
CHOROID = (31, 63)
VESSELS_AND_CHIASM = (30, 62, 80, 85)
HEAD, HEAD_PARTS = (126, 130, 165, 258, 259, 260, 262), ((900, 930),)  # skull, scalp, eyes, air: SAMSEG and newer asegs
MAX_UNKNOWN = 0.05  # share of the labelled voxels whose number we do not know: more is another scheme (ours)


def tissues_from_label_map(
    labels: Volume, t1w: Volume, lesions: np.ndarray | None = None, brain: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Compute tissue masks from a label map.

    T1w hypointensities (77-79) and SAMSEG's lesions (25, 57, 99) are in white_matter and not in nawm; without a lesion
    mask they are used as the lesions. The brain stem and the ventral diencephalon, where grey and white matter mix, are
    in no tissue; infratentorial is brain stem and cerebellum.

    Args:
        labels: whole numbers on any grid (resampled to the T1w by nearest neighbour).
        t1w: T1w that defines the grid.
        lesions: bool on the T1w's grid, excluded from all tissues; None without a mask.
        brain: bool on the T1w's grid that limits the tissues, or None.

    Returns:
        bool masks on the T1w's grid: white_matter, grey_matter, csf, nawm, infratentorial and brain.

    Raises:
        BadInput: the map does not match the T1w's position, or uses other numbers.
    """
    values = _on_grid_of(labels, t1w)
    tissues = {
        "white_matter": _any(values, (*CEREBRAL_WHITE, *CEREBELLAR_WHITE, *CORPUS_CALLOSUM, *HYPOINTENSITIES))
        | _within(values, WHITE_PARCELS),
        "grey_matter": _any(values, (*CORTEX, *CEREBELLAR_CORTEX, *DEEP_GREY)) | _within(values, CORTEX_PARCELS),
        "csf": _any(values, (*VENTRICLES, *CSF, *CHOROID)),
    }
    hypointense = _any(values, HYPOINTENSITIES)
    excluded = hypointense if lesions is None else hypointense | lesions
    if lesions is not None:
        tissues = {name: mask & ~lesions for name, mask in tissues.items()}
    if brain is not None:
        tissues = {name: mask & brain for name, mask in tissues.items()}
    spacing = (float(t1w.spacing[0]), float(t1w.spacing[1]), float(t1w.spacing[2]))
    white = tissues["white_matter"]
    tissues["nawm"] = normal_appearing_white_matter(white & ~excluded, excluded & (white | excluded), spacing)
    tissues["infratentorial"] = infratentorial(values)
    tissues["brain"] = (values > 0) & ~_of_the_head(values)
    return tissues


def infratentorial(values: np.ndarray) -> np.ndarray:
    """Select brain stem and cerebellum of a label map.

    Args:
        values: labels with FreeSurfer's numbers, any shape.

    Returns:
        bool of the same shape.
    """
    return _any(values, (*BRAIN_STEM, *CEREBELLAR_WHITE, *CEREBELLAR_CORTEX))


def read_label_map(path: Path | str) -> Volume:
    """Read a label map.

    Args:
        path: FreeSurfer's .mgz, NIfTI, NRRD or MetaImage.

    Returns:
        Labels as whole numbers, float32.

    Raises:
        BadInput: the file cannot be read or holds values that are not whole numbers.
    """
    path = Path(path)
    label = f"The label map {path.name}"
    raw = readers.read_image(path, "label map")
    data = readers.to_three_dimensions(raw.data, label)
    if data.dtype.kind == "f" and not (np.isfinite(data).all() and np.array_equal(data, np.round(data))):
        raise BadInput(f"{label} holds values that are not integers. Give aseg or SynthSeg's labels, not an image.")
    return Volume(np.ascontiguousarray(data, np.float32), raw.affine, path.name, raw.notes)


def _on_grid_of(labels: Volume, t1w: Volume) -> np.ndarray:
    """Resample labels to the T1w's grid (nearest neighbour), int32 (I, J, K).

    Raises BadInput if the labels are not FreeSurfer's, or less than half of them lie within the T1w.
    """
    counted = labels.data[(labels.data != 0) & ~_of_the_head(labels.data)]
    known = _known(np.unique(counted))
    if counted.size == 0 or len(known) < 5 or np.isin(counted, known).mean() < 1 - MAX_UNKNOWN:
        raise BadInput(
            f"The label map {labels.name} does not use FreeSurfer's numbers (2 and 41 are white matter). Give aseg, "
            "aparc+aseg or SynthSeg's segmentation."
        )
    values = np.round(resample(labels, t1w.data.shape, t1w.affine, interpolation="nearest")).astype(np.int32)
    moved, provided = (
        np.count_nonzero((values != 0) & ~_of_the_head(values)) * t1w.voxel_volume,
        counted.size * labels.voxel_volume,
    )
    if moved < 0.5 * provided:
        raise BadInput(
            f"The label map {labels.name} does not match the position of {t1w.name or 'the T1w'} (world coordinates). "
            "Give the label map of this T1w, in its native space."
        )
    return values


def _of_the_head(values: np.ndarray) -> np.ndarray:
    """Labels of skull, scalp, eyes and air."""
    return _any(values, HEAD) | _within(values, HEAD_PARTS)


def _known(numbers: np.ndarray) -> np.ndarray:
    single = (
        *CEREBRAL_WHITE, *CEREBELLAR_WHITE, *CORPUS_CALLOSUM, *HYPOINTENSITIES, *CORTEX, *CEREBELLAR_CORTEX, *DEEP_GREY,
        *VENTRAL_DIENCEPHALON, *BRAIN_STEM, *VENTRICLES, *CSF, *CHOROID, *VESSELS_AND_CHIASM,
    )  # fmt: skip
    return numbers[_any(numbers, single) | _within(numbers, (*WHITE_PARCELS, *CORTEX_PARCELS))]


def _any(values: np.ndarray, numbers: tuple[int, ...]) -> np.ndarray:
    return np.isin(values, numbers)


def _within(values: np.ndarray, ranges: tuple[tuple[int, int], ...]) -> np.ndarray:
    inside = np.zeros(np.shape(values), bool)
    for low, high in ranges:
        inside |= (values >= low) & (values <= high)
    return inside

"""Tissue masks of an aligned patient: from a label map, from given masks, or segmented in the T1w.

`synthesize` and `preprocess` share this rule, so that NAWM means the same for a new patient as in training.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..imaging.aligned import AlignedPatient
from ..imaging.grid import Grid
from ..imaging.label_maps import tissues_from_label_map
from ..imaging.preparation import on_grid
from ..imaging.tissues import normal_appearing_white_matter, segment_tissues
from ..imaging.volumes import Volume

TISSUES = ("white_matter", "grey_matter", "csf")


def tissue_masks(
    aligned: AlignedPatient,
    reference: str,
    lesions: np.ndarray | None,
    label_map: Volume | None = None,
    volumes: Mapping[str, Volume] | None = None,
) -> dict[str, np.ndarray]:
    """Compute white matter, grey matter, CSF and NAWM on the grid of the reference.

    Args:
        aligned: images without bias field; the brain mask is on the reference's grid.
        reference: name of the image to which all others were registered.
        lesions: bool mask on that grid, or None.
        label_map: FreeSurfer or SynthSeg labels in reference space, on any grid; has priority.
        volumes: tissue masks by name, in reference space; white and grey matter are used, CSF if it exists.

    Returns:
        bool masks (I, J, K) by name; NAWM is white matter outside lesions and at least 2 mm from other tissue. Empty
        without a T1w, a label map and masks: only a T1w distinguishes white from grey matter.

    Raises:
        ValueError: the brain is too small to segment.
    """
    fixed, brain = aligned.images[reference], aligned.brain.mask.data > 0.5
    if label_map is not None:
        labelled = tissues_from_label_map(label_map, fixed, lesions, brain)
        return {name: labelled[name] for name in (*TISSUES, "nawm")}
    grid = Grid(fixed.data.shape, np.asarray(fixed.affine, float))
    spacing = (float(fixed.spacing[0]), float(fixed.spacing[1]), float(fixed.spacing[2]))
    if volumes is not None and {"white_matter", "grey_matter"} <= set(volumes):
        masks = {name: on_grid(volumes[name], grid, mask=True) & brain for name in TISSUES if name in volumes}
    elif reference != "t1w":
        return {}
    else:
        flair = None
        if "flair" in aligned.images:
            flair = on_grid(aligned.images["flair"], grid, aligned.matrix("flair"))
        masks = segment_tissues(fixed.data, flair, brain, lesions, spacing)
    return masks | {"nawm": normal_appearing_white_matter(masks["white_matter"], lesions, spacing)}

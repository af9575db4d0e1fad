"""Plausibility checks of a patient's input volumes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from ..runtime.errors import BadInput
from ..runtime.numerals import format_percent
from .bias import box_around
from .contrasts import (
    DEEP_MM,
    DVR,
    FLAIR,
    GHOST_LEVEL,
    ORDER_CERTAIN,
    ORDER_LIMIT,
    SPACING_MM,
    SURFACE_MM,
    T1CE,
    T1W,
    T2W,
    Agreement,
    Look,
    contrast_agreement,
    ghosting,
    is_label_map,
    judge,
    look,
    view,
)
from .dvr_values import PLAUSIBLE_MEDIAN, refuse_constant
from .partial_volumes import lesion_mask_on_grid
from .placement import refuse_lost_header
from .registration import in_mask
from .volumes import Volume, resample, same_grid

SAME_CONTRAST = 0.55  # rank correlation in tissue: two T1w 0.67-0.90; T1w and FLAIR of one visit -0.62 to 0.25
SWAP_MARGIN = 0.1
# T1w and FLAIR of one person, registered: edges 0.49 and more, information 0.053 and more; of two people, registered as
# well as can be: at most 0.40 and 0.025 (20 and 36 pairs of real and simulated people; docs/benchmarks/checks.md).
MIN_EDGES, MIN_INFORMATION = 0.42, 0.035
COVERED_SHARE = 0.99  # of the brain; a measured map that covers less is noted (ours)
CUT_SHARE = 0.25  # of the brain's largest section: the brain stem at the lower end has under 0.15 (ours)
DOUBTFUL_LOAD, IMPOSSIBLE_LOAD = 0.12, 1 / 3  # of the brain: 155 ml, 430 ml (ours)
MAX_OUTSIDE = 0.5  # of a lesion mask outside the brain: more is no inexact outline but another place (ours)
ENDS = (("left", "right"), ("back", "front"), ("lower", "upper"))
WHY = {
    T2W: "fluid is bright in it",
    FLAIR: "white matter is not brighter than grey matter in it",
    T1W: "white matter is clearly brighter than grey matter in it",
    DVR: "its values are those of a PET map",
}
DRAWN_HERE = "Give the mask that was drawn on this patient's images."
DISTRUST = "Check the file given as {}; do not trust the result."


def check_different_images(t1w: Volume, flair: Volume) -> str:
    """Check that T1w and FLAIR differ, regardless of their file names.

    Args:
        t1w: T1w as read.
        flair: FLAIR as read.

    Returns:
        Warning if shape and values are equal, else an empty string.
    """
    same = t1w.data.shape == flair.data.shape and np.array_equal(t1w.data, flair.data)
    return (
        "T1w and FLAIR are the same file or copies of it: the result means nothing. Give two different images."
        if same
        else ""
    )


def refuse_label_map(image: Volume, what: str) -> None:
    """Check that an image is not a mask or label map.

    Args:
        image: volume as read.
        what: name of the input in the message, e.g. `T1w`.

    Raises:
        BadInput: it is a mask or label map.
    """
    if is_label_map(image.data):
        raise BadInput(f"The {what} {image.name} is a mask or label map, not an image. Give the {what} itself.")


def check_contrasts(t1w: Volume, flair: Volume, brain: Volume, matrix: np.ndarray) -> str:
    """Check a registered T1w and FLAIR, see `check_pair`.

    Args:
        t1w: bias-corrected T1w.
        flair: bias-corrected FLAIR on its own grid.
        brain: mask on the T1w's grid.
        matrix: 4x4 RAS mm, T1w world -> FLAIR world.

    Returns:
        Warnings joined to one string, empty if both are plausible.
    """
    return " ".join(check_pair(t1w, flair, brain, matrix, corrected=True))


def check_t1w(t1w: Volume, brain: Volume) -> str:
    """Check contrast and completeness of a T1w without FLAIR.

    Args:
        t1w: bias-corrected T1w.
        brain: mask on its grid.

    Returns:
        Warnings joined to one string, empty if it is plausible.
    """
    sentences = [check_whole(brain, t1w.name), *_wrong_t1w(look(t1w, brain, corrected=True), t1w.name)]
    return " ".join(sentence for sentence in sentences if sentence)


def check_pair(t1w: Volume, flair: Volume, brain: Volume, matrix: np.ndarray, corrected: bool = False) -> list[str]:
    """Check a registered T1w and FLAIR: wrong or swapped contrasts, two people, motion, a cut-off brain.

    There are no warnings if too little of the brain is visible.

    Args:
        t1w: T1w.
        flair: FLAIR on its own grid.
        brain: mask on the T1w's grid.
        matrix: 4x4 RAS mm, T1w world -> FLAIR world.
        corrected: whether bias fields are removed already.

    Returns:
        Warnings, one sentence each.
    """
    warnings = [sentence for sentence in (check_whole(brain, t1w.name),) if sentence]
    for what, image, where in (("T1w", t1w, None), ("FLAIR", flair, matrix)):
        if (ghosting(image, brain, where) or 0.0) > GHOST_LEVEL:
            warnings.append(
                f"The {what} {image.name} shows copies of the head in the air around it, as when the patient moved. "
                "Look at it; ruined images give ruined maps."
            )
    views = [view(t1w, brain, None, corrected), view(flair, brain, matrix, corrected)]
    if views[0] is None or views[1] is None:
        return warnings
    first, second = judge(views[0]), judge(views[1])
    together = contrast_agreement(views[0], views[1])
    wrong = _wrong_contrasts(first, second, together, t1w.name, flair.name)
    if together.edges < MIN_EDGES and together.information < MIN_INFORMATION:
        wrong.append(
            f"The T1w {t1w.name} and the FLAIR {flair.name} do not show the same anatomy: they are of two people, not "
            "in register, or one is ruined by motion. Look at both; the result is not to be trusted."
        )
    return warnings + wrong


def _wrong_contrasts(t1w: Look, flair: Look, together: Agreement, t1w_name: str, flair_name: str) -> list[str]:
    plain = {T1W, T1CE, FLAIR}
    if {t1w.contrast, flair.contrast} <= plain and together.tissue > SAME_CONTRAST:
        role, real = ("FLAIR", T1W) if t1w.order > ORDER_LIMIT else ("T1w", FLAIR)
        name = flair_name if role == "FLAIR" else t1w_name
        return [f"The {role} {name} looks like a second {real}. {DISTRUST.format(role)}"]
    if {t1w.contrast, flair.contrast} <= plain and t1w.order + SWAP_MARGIN < flair.order:
        return [
            "T1w and FLAIR look swapped: white matter stands out brighter in the image given as FLAIR than in the one "
            "given as T1w. Check which is which; the result is not to be trusted."
        ]
    sentences = _wrong_t1w(t1w, t1w_name)
    if flair.contrast in (T2W, DVR):
        sentences.append(_looks_like("FLAIR", flair_name, flair.contrast))
    return sentences


def _wrong_t1w(t1w: Look, name: str) -> list[str]:
    if t1w.contrast in (T2W, DVR) or (t1w.contrast == FLAIR and t1w.order < ORDER_LIMIT - ORDER_CERTAIN):
        return [_looks_like("T1w", name, t1w.contrast)]
    if t1w.contrast == T1CE:
        return [
            f"The T1w {name} has very bright vessels, as after contrast agent. Give one from before it where there is "
            "one."
        ]
    return []


def _looks_like(what: str, name: str, contrast: str) -> str:
    return f"The {what} {name} looks like a {contrast}: {WHY[contrast]}. {DISTRUST.format(what)}"


def check_whole(brain: Volume, name: str = "") -> str:
    """Check that the brain is not cut off at an end of the image.

    Args:
        brain: brain mask.
        name: file name of the T1w, for the message.

    Returns:
        Warning that names the ends, else an empty string.
    """
    inside, cut_ends = brain.data > 0.5, []
    towards = np.argmax(np.abs(brain.affine[:3, :3] / brain.spacing), axis=0)
    for axis in range(3):
        sections = inside.sum(axis=tuple(other for other in range(3) if other != axis))
        upwards = brain.affine[towards[axis], axis] > 0
        for end, section in ((0, sections[0]), (1, sections[-1])):
            if section > CUT_SHARE * sections.max():
                cut_ends.append(ENDS[towards[axis]][end if upwards else 1 - end])
    if not cut_ends:
        return ""
    where = " and the ".join(f"{end} end" for end in cut_ends)
    return f"The brain in the T1w {name} is cut off at the {where} of the image; the map is missing there."


def white_to_grey(image: Volume, brain: Volume, matrix: np.ndarray) -> float:
    """Measure the contrast between deep and superficial brain tissue.

    Args:
        image: MRI in arbitrary units.
        brain: brain mask on the reference grid.
        matrix: 4x4 RAS mm, reference world -> world of the image.

    Returns:
        (deep - superficial) / deep, of medians; above 0 if white matter is brighter, 0 if it cannot be measured.
    """
    shape, affine = box_around(brain, SPACING_MM, 4.0)
    inside = resample(brain, shape, affine) > 0.5
    values = resample(image, shape, affine, matrix)
    depth = ndimage.distance_transform_edt(inside, sampling=SPACING_MM)
    tissue = inside & (values > 0.5 * np.median(values[inside]))
    shallow, deep = tissue & (depth < SURFACE_MM), tissue & (depth > DEEP_MM)
    if not shallow.any() or not deep.any():
        return 0.0
    middle = float(np.median(values[deep]))
    return (middle - float(np.median(values[shallow]))) / middle


def check_lesion_load(mask: Volume, brain: Volume) -> str:
    """Check that a lesion mask is not implausibly large.

    Args:
        mask: 0/1 lesion mask.
        brain: 0/1 mask, on any grid.

    Returns:
        Warning, or an empty string.

    Raises:
        BadInput: the mask covers at least a third of the brain.
    """
    load, whole = (float(volume.data.sum()) * volume.voxel_volume / 1000 for volume in (mask, brain))
    if whole <= 0 or load <= DOUBTFUL_LOAD * whole:
        return ""
    marks = f"The lesion mask {mask.name} marks {load:.0f} ml, {100 * load / whole:.0f} % of the brain"
    if load < IMPOSSIBLE_LOAD * whole:
        return f"{marks}, which is unusually much for MS lesions. Check the mask."
    raise BadInput(
        f"{marks}, which cannot be lesions. Check whether it is a tissue mask, a brain mask, a label map or an "
        "inverted mask."
    )


def refuse_misplaced_lesions(mask: Volume, brain: Volume, reference: str, hint: str = "") -> None:
    """Check that a lesion mask lies in the brain.

    Args:
        mask: 0/1 lesion mask, in the world of the brain mask.
        brain: 0/1 mask.
        reference: the image of the brain mask in the message, e.g. `T1w t1.nii`.
        hint: sentence on what is wrong and what to do, if that is known.

    Raises:
        BadInput: more than half of the mask lies outside the brain.
    """
    marked = np.argwhere(mask.data > 0.5)
    if not len(marked):
        return
    outside = 1 - float(in_mask(marked @ mask.affine[:3, :3].T + mask.affine[:3, 3], brain).mean())
    if outside <= MAX_OUTSIDE:
        return
    where = f"the brain in the {reference} (world coordinates)"
    sentence = f"{format_percent(outside)} of the lesion mask {mask.name} lie outside {where}."
    if outside == 1:
        sentence = f"The lesion mask {mask.name} does not overlap with {where}."
    raise BadInput(f"{sentence} {hint or DRAWN_HERE}")


def lesions_on_grid(mask: Volume, t1w: Volume, brain: Volume) -> tuple[Volume, list[str]]:
    """Resample a lesion mask to the T1w grid; no lesion vanishes, and volumes are kept.

    Args:
        mask: 0/1 lesion mask.
        t1w: image with the output grid.
        brain: brain mask.

    Returns:
        The mask on the T1w grid, and warnings (mask empty or partly outside the brain).

    Raises:
        BadInput: no lesion is inside the brain.
    """
    if not mask.data.any():
        return replace(t1w, data=np.zeros(t1w.data.shape, np.float32), name=mask.name), [
            f"The lesion mask {mask.name} is empty: the lesion table has no rows."
        ]
    warnings, data = [], mask.data
    if not same_grid(mask, t1w):
        data = lesion_mask_on_grid(mask, t1w.data.shape, t1w.affine).astype(np.float32)
    data = (data > 0.5).astype(np.float32)
    kept = data * (brain.data > 0.5)
    if not kept.any():
        raise BadInput(
            f"The lesion mask {mask.name} does not overlap with the brain in {t1w.name} (world coordinates). "
            f"{DRAWN_HERE}"
        )
    lost = 1 - float(kept.sum() / data.sum())
    if lost > 0.01:
        warnings.append(
            f"{100 * lost:.0f} % of the lesion mask {mask.name} lie outside the brain mask and were left out."
        )
    return replace(t1w, data=kept, name=mask.name), warnings


def dvr_on_grid(dvr: Volume, t1w: Volume, brain: Volume) -> tuple[Volume, list[str]]:
    """Resample a measured DVR map to the T1w grid (linear).

    Args:
        dvr: measured DVR.
        t1w: image with the output grid.
        brain: brain mask.

    Returns:
        The map on the T1w grid, NaN where the brain was not measured (beyond the PET, or 0 in it) and 0 outside the
        brain, and warnings.

    Raises:
        BadInput: the map does not overlap with the brain, or is constant in it.
    """
    warnings = []
    data = np.where(dvr.data == 0, np.nan, dvr.data).astype(np.float32)
    if not same_grid(dvr, t1w):
        refuse_lost_header(dvr, "measured DVR", {"t1w": t1w})
        data = resample(dvr.with_data(data), t1w.data.shape, t1w.affine, outside=np.nan)
        warnings.append(f"The measured DVR {dvr.name} lies on another grid; it was resampled in world coordinates.")
    inside = brain.data > 0.5
    known = np.isfinite(data[inside])
    if not known.any():
        raise BadInput(
            f"The measured DVR {dvr.name} does not overlap with the brain in {t1w.name} (world coordinates). Register "
            "it to the T1w first."
        )
    if known.mean() < COVERED_SHARE:
        warnings.append(
            f"The measured DVR {dvr.name} covers {100 * known.mean():.0f} % of the brain; the rest is left out."
        )
    refuse_constant(data[inside][known], f"The measured DVR {dvr.name}")
    typical = float(np.median(data[inside][known]))
    if not PLAUSIBLE_MEDIAN[0] < typical < PLAUSIBLE_MEDIAN[1]:
        warnings.append(
            f"The measured DVR {dvr.name} has a median of {typical:.3g} in the brain, not about 1: is it a DVR map?"
        )
    return t1w.with_data(np.where(inside, data, 0).astype(np.float32)), warnings

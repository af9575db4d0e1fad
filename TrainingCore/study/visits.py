"""Compare two Results of one person."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import RESEARCH_USE
from ..data.result import BRAIN, DVR, LESION_LABELS, NAWM, Result
from ..data.review import rejected_lesions, without
from ..imaging.registration import MIN_COVERED, Registration, brain_points, inside_share, register
from ..imaging.volumes import Volume, read_volume
from ..runtime.errors import BadInput
from .changes import Row, lesion_changes, relative_to_nawm, summarise_changes, voxel_indices
from .halfway import HalfWay, half_way
from .lesion_matching import match_lesions
from .lesion_sources import NONE, lesion_source
from .repeatability import NORMAL, Repeatability
from .visit_pair import scan_of

CORE = 0.9  # share of a resampled voxel that is NAWM, as where nawm_sd was measured (ours)
OWN_T1W = "Check that each T1w is the image from which the map of its visit was made."
TWO_PEOPLE = "Check that both are of one person; if they are, compare the visits with the T1w of both."
VERDICT = ("low", "high", "change")


@dataclass(frozen=True)
class VisitComparison:
    """Two visits on one grid.

    Attributes:
        space: half-way space whose grid all arrays are on.
        dvr: synthetic DVR before and after, float32 (I, J, K), 0 outside either brain.
        difference: after - before.
        lesions: int32 (I, J, K), number of the row of `rows` whose outlines at either visit hold the voxel; else 0.
        rows: one row per lesion, see `lesion_changes`; none if a visit has no lesion mask.
        summary: counts, means, registration and models, as JSON.
    """

    space: HalfWay
    dvr: tuple[np.ndarray, np.ndarray]
    difference: np.ndarray
    lesions: np.ndarray
    rows: list[Row]
    summary: dict[str, Any]


def compare_visits(
    results: tuple[Result, Result],
    t1w: tuple[Path | None, Path | None],
    spacing: float,
    repeatability: Repeatability | None,
    judge_relative: bool = False,
) -> VisitComparison:
    """Register two Results, resample each once, match lesions and measure the change.

    Args:
        results: earlier and later Result of one person.
        t1w: T1w of each to register by; None: register the synthetic maps.
        spacing: voxel edge of the half-way grid in mm.
        repeatability: repeatability of the model, or None: changes of lesions are not judged.
        judge_relative: judge lesions by their change minus that of normal-appearing white matter.

    Returns:
        The comparison.

    Raises:
        BadInput: the lesion outlines of a visit are missing, the visits do not overlap, their registration cannot be
            trusted, or a relative judgement is asked for and NAWM or its repeatability is missing.
    """
    sources = [lesion_source(result) for result in results]
    outlined = all(source["source"] != NONE for source in sources)
    space, dvr, registration = _on_half_way_grid(results, t1w, spacing)
    labels = _labels_of_both(results, space, outlined)
    lesions = _united_labels(labels)
    nawm = _nawm_change(results, space, dvr, lesions > 0, repeatability)
    if judge_relative:
        _check_relative(nawm["difference"], repeatability)
    rows = lesion_changes(labels, dvr, space.affine, repeatability)
    relative = relative_to_nawm(rows, nawm["difference"], repeatability)
    judged = relative if judge_relative else rows
    rows = [row | {name: verdict[name] for name in VERDICT} for row, verdict in zip(relative, judged)]
    limits = [result.provenance["summary"]["demyelination_limit_dvr"] for result in results]
    limit = float(np.mean(limits)) if None not in limits else None
    summary = {
        "note": RESEARCH_USE,
        **_counts(rows, outlined),
        "limit": limit,
        "nawm": nawm,
        "relative_to_nawm": _counts(relative, outlined, "difference_to_nawm"),
        "judged_relative_to_nawm": judge_relative,
        "voxels": voxel_indices(lesions > 0, dvr, limit),
        "registration": {
            "how": registration.how,
            "moved_mm": round(registration.moved_mm, 3),
            "warning": registration.warning,
        },
        "to_before": space.to_before.tolist(),
        "to_after": space.to_after.tolist(),
        "registered": "T1w" if t1w[0] is not None else "synthetic DVR",
        "lesion_sources": dict(zip(("before", "after"), sources)),
        **_provenance_facts(results),
        "repeatability": repeatability.in_words() if repeatability else None,
    }
    return VisitComparison(space, dvr, dvr[1] - dvr[0], lesions, rows, summary)


def _counts(rows: list[Row], outlined: bool, measure: str = "difference") -> dict[str, Any]:
    """See `summarise_changes`; the number of lesions is None if a visit has no lesion mask."""
    return summarise_changes(rows, measure) | ({} if outlined else {"lesions": None})


def _on_half_way_grid(
    results: tuple[Result, Result], t1w: tuple[Path | None, Path | None], spacing: float
) -> tuple[HalfWay, tuple[np.ndarray, np.ndarray], Registration]:
    """Half-way space, both maps on its grid (0 outside either brain), and the registration of the visits."""
    maps = tuple(read_volume(result.path / DVR, "synthetic DVR") for result in results)
    brains = tuple(read_volume(result.path / BRAIN, "brain mask", mask=True) for result in results)
    fixed, moving = (read_volume(path, "T1w") if path is not None else image for path, image in zip(t1w, maps))
    for which, image, brain in zip(("first", "second"), (fixed, moving), brains):
        if inside_share(brain_points(brain), image, np.eye(4)) < MIN_COVERED:
            raise BadInput(f"The {which} visit's T1w {image.name} does not show the brain of its map. {OWN_T1W}")
    what = "map" if t1w[0] is None else "T1w"
    registration = register(
        fixed,
        moving,
        brains[0],
        contrast=f"second visit's {what}",
        reference=f"first visit's {what}",
        moving_bias=t1w[0] is not None,
        advice=TWO_PEOPLE if t1w[0] is None else OWN_T1W,
    )
    warning = "" if t1w[0] is None else registration.warning  # its limits were measured on MRI, not on maps
    for image in (fixed, moving):  # change.json holds no file names, which may identify a person
        warning = warning.replace(f" {image.name}", "")
    space = half_way(registration.matrix, brains[0], brains[1], spacing)
    inside = (space.before(brains[0]) > 0.5) & (space.after(brains[1]) > 0.5)
    before, after = (
        np.where(inside, dvr, 0).astype(np.float32) for dvr in (space.before(maps[0]), space.after(maps[1]))
    )
    return space, (before, after), replace(registration, warning=warning)


def _provenance_facts(results: tuple[Result, Result]) -> dict[str, Any]:
    records = [result.provenance for result in results]
    models = [record["model"] for record in records]
    return {
        "t1w_sha256": dict(zip(("before", "after"), map(scan_of, records))),
        "models_differ": models[0]["weights_sha256"] != models[1]["weights_sha256"],
        "model": models[1]["name"],
        "weights_sha256": models[1]["weights_sha256"],
        "simulated_training_data": any(model["simulated_training_data"] for model in models),
        "simulated_patient": any(record.get("simulated_patient", False) for record in records),
    }


def _united_labels(labels: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Number of the match in every voxel of its outlines at either visit, int32; on overlap the later visit's."""
    united = np.zeros(labels[0].shape, np.int32)
    matches = match_lesions(*labels)
    for side in (0, 1):
        number = np.zeros(int(labels[side].max()) + 1, np.int32)
        for row, match in enumerate(matches, start=1):
            number[list((match.before, match.after)[side])] = row
        united = np.where(labels[side] > 0, number[labels[side]], united)
    return united


def _nawm_change(
    results: tuple[Result, Result],
    space: HalfWay,
    dvr: tuple[np.ndarray, np.ndarray],
    lesions: np.ndarray,
    repeatability: Repeatability | None,
) -> dict[str, float | None]:
    """Change of normal-appearing white matter (NAWM), over the voxels that are NAWM at both visits.

    Returns:
        {before, after, difference}: mean DVR, None if it was not segmented; expected: 1.96 SD of the difference between
        two scans without a change, None if unknown.
    """
    sd = repeatability.nawm_sd if repeatability is not None else None
    change: dict[str, float | None] = dict.fromkeys(("before", "after", "difference"))
    change["expected"] = None if sd is None else NORMAL * sd
    masks = [read_volume(result.path / NAWM, "NAWM", may_be_empty=True, mask=True) for result in results]
    common = (space.before(masks[0]) > CORE) & (space.after(masks[1]) > CORE) & (dvr[0] > 0) & (dvr[1] > 0) & ~lesions
    if common.any():
        before, after = (float(image[common].mean()) for image in dvr)
        change |= {"before": before, "after": after, "difference": after - before}
    return change


def _check_relative(shift: float | None, repeatability: Repeatability | None) -> None:
    if shift is None:
        raise BadInput(
            "No white matter is normal-appearing at both visits, so no change can be relative to it. Leave out "
            "--relative-to-nawm."
        )
    if repeatability is not None and repeatability.nawm_sd is None:
        raise BadInput(
            "The repeatability has no nawm_sd, which --relative-to-nawm needs. Add it, or leave the option out."
        )


def _labels_of_both(results: tuple[Result, Result], space: HalfWay, outlined: bool) -> tuple[np.ndarray, np.ndarray]:
    """Lesion labels of both visits on the half-way grid, int32, without rejected lesions; zeros if not outlined."""
    if not outlined:
        return np.zeros(space.shape, np.int32), np.zeros(space.shape, np.int32)
    return _labels(results[0], space, first=True), _labels(results[1], space, first=False)


def _labels(result: Result, space: HalfWay, first: bool) -> np.ndarray:
    import nibabel

    path = result.path / LESION_LABELS
    image = nibabel.nifti1.load(path)
    labels, _ = without(rejected_lesions(result.path), np.asarray(image.dataobj), [])
    volume = Volume(np.asarray(labels, np.float32), np.asarray(image.affine, float), path.name)
    return (space.before if first else space.after)(volume, "nearest").astype(np.int32)

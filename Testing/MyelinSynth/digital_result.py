"""A small patient with two lesions, and the Result that TrainingCore's own functions write for it. No network is run.

Run as a program it stands in for `python -m TrainingCore.synthesize`: see `child` in test_module_synthesis.py.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

SHAPE, SPACING = (28, 32, 20), (1.5, 1.5, 2.0)
CENTRE = np.array([3.0, -5.0, 7.0])
LESIONS = (((-5.0, 4.0, 9.0), 4.2, 0.80), ((11.0, -9.0, 3.0), 3.0, 0.95))  # world centre mm, radius mm, DVR
MISSED = ((3.0, -16.0, 7.0), 3.0, 0.90)  # a lesion that the network gave a probability of a third, below its threshold
BRAIN_RADIUS, NAWM_DVR = 17.5, 1.2
REGIONS = ("deep white matter", "periventricular")
VENTRICLE, CORTEX = ((-12.0, 4.0, 9.0), 3.0), ((3.0, -20.0, 7.0), 3.0)  # centre, radius: at lesion 1, at the missed one
FINDER_THRESHOLD = 0.5
INTERVALS = {  # of the measured and of the noise-free mean DVR, by volume
    "classes_mm3": [0.0, 200.0],
    "half_width": [0.2, 0.1],
    "noise_free_half_width": [0.1, 0.05],
}
REGRESSION = {  # of the myelin loss: a third for each unit that a lesion is darker than its surroundings in T1w
    "mean": [0.0] * 14,
    "sd": [1.0] * 14,
    "weights": [-0.33, *[0.0] * 13],
    "intercept": 0.1,
    "classes_mm3": [0.0],
    "half_width": [0.2],
}


def ball(matrix: np.ndarray, shape: tuple[int, int, int], centre: object, radius: float) -> np.ndarray:
    """Mask (I, J, K) of the voxels within `radius` mm of a world point."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    world = index @ matrix[:3, :3].T + matrix[:3, 3]
    return np.linalg.norm(world - np.asarray(centre), axis=-1) <= radius


def lesion_mask(matrix: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Mask (I, J, K) of both lesions."""
    return np.any([ball(matrix, shape, centre, radius) for centre, radius, _dvr in LESIONS], axis=0)


def probability_map(matrix: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """What a network would say, float32 (I, J, K), 0 to 1: above 0.5 in both lesions, about 0.3 in the missed one."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    world = index @ matrix[:3, :3].T + matrix[:3, 3]
    parts = []
    for (centre, radius, _dvr), peak in (*((lesion, 1.0) for lesion in LESIONS), (MISSED, 0.35)):
        edge = np.linalg.norm(world - np.asarray(centre), axis=-1) - radius
        parts.append(peak / (1 + np.exp(np.clip(edge / 0.4, -50, 50))))
    return np.max(parts, axis=0).astype(np.float32)


def write_result(
    folder: Path,
    t1: Path,
    lesions: Path | None,
    shift: np.ndarray | None = None,
    measured: Path | None = None,
    uncertain: bool = False,
    found: bool = False,
) -> None:
    """Write a Result for the files that were exported: a DVR of 1.2 with lesions that are lower.

    shift: 4x4 RAS, T1w point -> FLAIR point, as registration would find it; measured: a measured DVR; uncertain: as
    with --uncertainty; found: a network found the lesions, and missed one, where none were given.
    """
    from TrainingCore.data.lesion_columns import column_names
    from TrainingCore.data.result import LESION_LABELS, NAWM, UNCERTAINTY
    from TrainingCore.imaging.checks import dvr_on_grid, lesions_on_grid
    from TrainingCore.imaging.labelling import label_lesions
    from TrainingCore.imaging.volumes import read_volume, write_volume
    from TrainingCore.patient.outputs import lesions_csv, write_transform
    from TrainingCore.runtime.files import write_json, write_text

    t1w = read_volume(t1)
    shape, affine = t1w.data.shape, t1w.affine
    brain = ball(affine, shape, CENTRE, BRAIN_RADIUS)
    dvr = np.where(brain, NAWM_DVR, 0).astype(np.float32)
    found = found and lesions is None
    for centre, radius, value in (*LESIONS, *([MISSED] if found else [])):
        dvr[ball(affine, shape, centre, radius)] = value
    brain_volume = t1w.with_data(brain.astype(np.float32))
    pet = None if measured is None else dvr_on_grid(read_volume(measured), t1w, brain_volume)[0].data
    labels = np.zeros(shape, np.int32)
    folder.mkdir(parents=True)
    if lesions is not None or found:
        given = None if lesions is None else lesions_on_grid(read_volume(lesions, mask=True), t1w, brain_volume)[0]
        mask = lesion_mask(affine, shape) if given is None else given.data
        labels = label_lesions(mask, t1w.voxel_volume)[0]
        write_volume(folder / LESION_LABELS, labels.astype(np.int16), affine)
        _write_regions(folder, affine, shape)
    if uncertain:
        write_volume(folder / UNCERTAINTY, np.where(brain, 0.05, 0).astype(np.float32), affine)
    write_volume(folder / "dvr.nii.gz", dvr, affine)
    write_volume(folder / "brain_mask.nii.gz", brain, affine)
    write_transform(folder / "flair_to_t1.tfm", np.eye(4) if shift is None else shift)
    nawm = brain & (labels == 0)
    write_volume(folder / NAWM, nawm, affine)
    probability = probability_map(affine, shape) if found else None
    rows = _rows(labels, dvr, nawm, affine, pet, uncertain, probability)
    if rows:
        rows = _with_estimates(folder, rows, labels, affine, shape)
    _write_probability(folder, probability, affine)
    write_text(folder / "lesions.csv", lesions_csv(rows, column_names(measured=pet is not None)))
    write_text(
        folder / "report.html", "<html><body>Simulated. Research use only, not for diagnosis. \u00b5</body></html>"
    )
    source = "given" if lesions is not None else "found" if found else "none"
    write_json(folder / "provenance.json", _record(source, rows, dvr, pet, {"nawm": nawm, "lesions": labels > 0}))


def _write_regions(folder: Path, affine: np.ndarray, shape: tuple[int, ...]) -> None:
    from TrainingCore.data.result import PLACES
    from TrainingCore.imaging.regions import RegionMasks, encode_regions
    from TrainingCore.imaging.volumes import write_volume

    masks = RegionMasks(np.zeros(shape, bool), ball(affine, shape, *VENTRICLE), ball(affine, shape, *CORTEX))
    write_volume(folder / PLACES, encode_regions(masks), affine)


def _with_estimates(
    folder: Path, rows: list[dict[str, Any]], labels: np.ndarray, affine: np.ndarray, shape: tuple[int, ...]
) -> list[dict[str, Any]]:
    """Write MRI and tissues on a model's grid of 2 mm, and measure the lesions on them."""
    from TrainingCore.data.result import CONTEXT
    from TrainingCore.evaluation.lesion_context import LesionContext
    from TrainingCore.imaging.grid import brain_grid
    from TrainingCore.imaging.volumes import write_volume

    grid = brain_grid(ball(affine, shape, CENTRE, BRAIN_RADIUS), affine, (24, 24, 24), 2.0)
    brain = ball(grid.affine, grid.shape, CENTRE, BRAIN_RADIUS)
    white = ball(grid.affine, grid.shape, CENTRE, BRAIN_RADIUS - 3.0)
    tissue = (brain.astype(np.uint8) * 3 - white).astype(np.uint8)  # 2 white, 3 grey
    t1w, flair = np.where(white, 100.0, 60.0) * brain, np.where(white, 50.0, 54.0) * brain
    for centre, radius, value in (*LESIONS, MISSED):
        lesion = ball(grid.affine, grid.shape, centre, radius)
        t1w[lesion], flair[lesion] = 100 * value - 20, 80.0
    flair += np.random.default_rng(0).normal(scale=2.0, size=flair.shape)
    context = LesionContext({"t1w": t1w, "flair": flair}, tissue, grid.affine)
    write_volume(folder / CONTEXT, context.encode(), grid.affine)
    return context.estimates(labels, affine, rows, REGRESSION)


def _write_probability(folder: Path, probability: np.ndarray | None, affine: np.ndarray) -> None:
    from TrainingCore.data.result import LESION_PROBABILITY
    from TrainingCore.imaging.volumes import write_volume

    if probability is not None:
        write_volume(folder / LESION_PROBABILITY, probability, affine)


def _rows(
    labels: np.ndarray,
    dvr: np.ndarray,
    nawm: np.ndarray,
    affine: np.ndarray,
    pet: np.ndarray | None,
    uncertain: bool,
    probability: np.ndarray | None,
) -> list[dict[str, Any]]:
    from TrainingCore.evaluation.conformal import interval_of
    from TrainingCore.evaluation.lesions import confidence_by_label, lesion_table

    rows = lesion_table(labels, dvr, nawm, affine, pet)
    rows = [row | {"region": REGIONS[row["id"] % 2], "uncertainty": 0.04 if uncertain else None} for row in rows]
    if probability is not None:
        confidence = confidence_by_label(probability, labels)
        rows = [row | {"confidence": float(confidence[row["id"]])} for row in rows]
    return [row | interval_of(INTERVALS, row["volume_mm3"], row["mean_dvr"]) for row in rows]


def _record(
    source: str, rows: list[dict[str, Any]], dvr: np.ndarray, pet: np.ndarray | None, masks: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Content of provenance.json."""
    from TrainingCore.evaluation.lesion_myelin import FEATURES
    from TrainingCore.evaluation.lesion_summary import mean_sd, summarise_lesions
    from TrainingCore.evaluation.lesions import demyelination_limit

    model: dict[str, object] = {"name": "stand-in", "weights_sha256": "0" * 64, "simulated_training_data": True}
    model["intervals"] = INTERVALS
    model["myelin"] = {"features": list(FEATURES), **REGRESSION}
    summary = {
        "synthetic_dvr": {name: mean_sd(dvr, mask) for name, mask in masks.items()},
        "demyelination_limit_dvr": demyelination_limit(dvr, masks["nawm"]),
        **summarise_lesions(rows, pet is not None),
    }
    if pet is not None:
        summary["measured_dvr"] = {name: mean_sd(pet, mask) for name, mask in masks.items()}
    finder = {"name": "stand-in", "lesion_threshold": FINDER_THRESHOLD}
    return {
        "note": "simulated",
        "lesion_source": source,
        "software": {"TrainingCore": "test"},
        "model": model,
        "inputs": {"lesions_found_by": finder} if source == "found" else {},
        "summary": summary,
    }


if __name__ == "__main__":
    import argparse

    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    parser = argparse.ArgumentParser()
    for name in ("--t1", "--out", "--lesions", "--dvr"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--uncertainty", action="store_true")
    parser.add_argument("--found", action="store_true")
    given = parser.parse_known_args()[0]
    if given.lesions == Path("none"):
        given.lesions, given.found = None, False
    write_result(given.out, given.t1, given.lesions, None, given.dvr, given.uncertainty, given.found)

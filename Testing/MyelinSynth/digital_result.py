"""A small patient with two lesions, and the Result that TrainingCore's own functions write for it. No network is run.

Run as a program it stands in for `python -m TrainingCore.synthesize`: see `child` in test_module_synthesis.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

SHAPE, SPACING = (28, 32, 20), (1.5, 1.5, 2.0)
CENTRE = np.array([3.0, -5.0, 7.0])
LESIONS = (((-5.0, 4.0, 9.0), 4.2, 0.80), ((11.0, -9.0, 3.0), 3.0, 0.95))  # world centre mm, radius mm, DVR
BRAIN_RADIUS, NAWM_DVR = 17.5, 1.2


def ball(matrix: np.ndarray, shape: tuple[int, int, int], centre: object, radius: float) -> np.ndarray:
    """Mask (I, J, K) of the voxels within `radius` mm of a world point."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    world = index @ matrix[:3, :3].T + matrix[:3, 3]
    return np.linalg.norm(world - np.asarray(centre), axis=-1) <= radius


def lesion_mask(matrix: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Mask (I, J, K) of both lesions."""
    return np.any([ball(matrix, shape, centre, radius) for centre, radius, _dvr in LESIONS], axis=0)


def write_result(folder: Path, t1: Path, lesions: Path | None, shift: np.ndarray | None = None) -> None:
    """Write a Result for the files that were exported: a DVR of 1.2 with lesions that are lower.

    shift: 4x4 RAS, T1w point -> FLAIR point, as registration would find it.
    """
    from TrainingCore.evaluation.lesions import label_lesions, lesion_table
    from TrainingCore.files import write_json, write_text
    from TrainingCore.imaging.checks import lesions_on_grid
    from TrainingCore.imaging.volumes import read_volume, write_volume
    from TrainingCore.result import LESION_COLUMNS
    from TrainingCore.synthesis.outputs import lesions_csv, write_transform

    t1w = read_volume(t1)
    shape, affine = t1w.data.shape, t1w.affine
    brain = ball(affine, shape, CENTRE, BRAIN_RADIUS)
    dvr = np.where(brain, NAWM_DVR, 0).astype(np.float32)
    for centre, radius, value in LESIONS:
        dvr[ball(affine, shape, centre, radius)] = value
    labels = np.zeros(shape, np.int32)
    if lesions is not None:
        mask = lesions_on_grid(read_volume(lesions, mask=True), t1w, t1w.with_data(brain.astype(np.float32)))[0]
        labels = label_lesions(mask.data, t1w.voxel_volume)[0]
    folder.mkdir(parents=True)
    write_volume(folder / "dvr.nii.gz", dvr, affine)
    write_volume(folder / "brain_mask.nii.gz", brain, affine)
    write_transform(folder / "flair_to_t1.tfm", np.eye(4) if shift is None else shift)
    rows = lesion_table(labels, dvr, brain & (labels == 0), affine)
    write_text(folder / "lesions.csv", lesions_csv(rows, LESION_COLUMNS))
    write_text(folder / "report.html", "<html><body>Simulated. Research use only, not for diagnosis. µ</body></html>")
    model = {"name": "stand-in", "weights_sha256": "0" * 64, "simulated_training_data": True}
    write_json(folder / "provenance.json", {"note": "simulated", "software": {"TrainingCore": "test"}, "model": model})


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    write_result(Path(given["--out"]), Path(given["--t1"]), Path(given["--lesions"]) if "--lesions" in given else None)

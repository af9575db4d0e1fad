"""Images finer than the steps need: the same map and lesions, on the T1w's own grid."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from small_head import AFFINE

from TrainingCore.data.result import BRAIN, DVR, LESION_LABELS, Result
from TrainingCore.imaging import working_grid
from TrainingCore.imaging.volumes import write_volume


def test_a_fine_t1w_gives_the_map_of_a_coarse_one_on_its_own_grid(
    patient, bundle, command, head, tmp_path, monkeypatch
):
    affine = AFFINE @ np.diag([0.5, 0.5, 0.5, 1])
    affine[:3, 3] = (AFFINE @ [-0.25, -0.25, -0.25, 1])[:3]
    files = {}
    for name in ("t1w", "flair", "lesions"):
        files[name] = tmp_path / f"{name}.nii.gz"
        write_volume(files[name], np.repeat(np.repeat(np.repeat(head[name], 2, 0), 2, 1), 2, 2), affine)
    spacing = float(np.linalg.norm(AFFINE[:3, 0]))
    monkeypatch.setattr(working_grid, "FINE_MM3", 0.9 * spacing**3)
    monkeypatch.setattr(working_grid, "WORKING_MM", spacing)
    for out, given in ((tmp_path / "coarse", patient), (tmp_path / "fine", files)):
        assert command("--t1", given["t1w"], "--flair", given["flair"], "--lesions", given["lesions"],
                       "--model", bundle, "--progress", "none", "--out", out) == 0  # fmt: skip
    maps = {}
    for kind in ("coarse", "fine"):
        image, brain = nib.load(tmp_path / kind / DVR), nib.load(tmp_path / kind / BRAIN)
        maps[kind] = np.asarray(image.dataobj), np.asarray(brain.dataobj) > 0
        assert np.allclose(image.affine, affine if kind == "fine" else AFFINE, atol=1e-4)
    (coarse, inside), (fine, fine_inside) = maps["coarse"], maps["fine"]
    assert fine_inside.sum() / 8 == pytest.approx(inside.sum(), rel=0.03)
    means = fine.reshape(*(n for size in coarse.shape for n in (size, 2))).mean(axis=(1, 3, 5))
    both = inside & (means > 0.9 * coarse)
    assert both.sum() > 0.8 * inside.sum()
    assert np.abs(means - coarse)[both].mean() < 0.02 * coarse[both].mean()
    rows = [Result.open(tmp_path / kind).lesions() for kind in ("coarse", "fine")]
    assert [row["volume_mm3"] for row in rows[1]] == pytest.approx([row["volume_mm3"] for row in rows[0]])
    assert np.allclose([row["x_mm"] for row in rows[1]], [row["x_mm"] for row in rows[0]], atol=1e-3)
    labels = np.asarray(nib.load(tmp_path / "fine" / LESION_LABELS).dataobj)
    assert np.count_nonzero(labels) == 8 * head["lesions"].sum()

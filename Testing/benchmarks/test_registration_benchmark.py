from __future__ import annotations

import numpy as np

from Testing.benchmarks.registration import random_start, table
from Testing.benchmarks.registration_contenders import CONTENDERS, moved, peak_gigabytes
from TrainingCore.imaging.registration import mean_distance
from TrainingCore.imaging.volumes import Volume

CENTRE = np.array([3.0, -18.0, 12.0])


def test_random_starts_reach_up_to_thirty_degrees_and_forty_millimetres():
    random = np.random.default_rng(0)
    starts = [random_start(random, CENTRE) for _ in range(300)]
    shifts = [np.linalg.norm(start[:3, :3] @ CENTRE + start[:3, 3] - CENTRE) for start in starts]
    turns = [np.rad2deg(np.arccos((np.trace(start[:3, :3]) - 1) / 2)) for start in starts]
    assert 38 < max(shifts) <= 40
    assert 28 < max(turns) <= 30
    assert min(shifts) < 2
    assert min(turns) < 2


def test_a_moved_image_shows_at_the_start_what_was_at_the_origin():
    image = Volume(np.zeros((4, 5, 6), np.float32), np.diag([2.0, 2.0, 3.0, 1.0]))
    start = random_start(np.random.default_rng(1), CENTRE)
    voxel = np.array([1, 2, 3, 1.0])
    np.testing.assert_allclose(moved(image, start).affine @ voxel, start @ (image.affine @ voxel))


def test_ours_finds_a_start_back_and_says_what_it_took():
    rng = np.random.default_rng(2)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in (44, 52, 42)), indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2) + 0.08 * np.sin(9 * x) * np.cos(8 * y + z)
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = [-88, -104, -84]
    t1w = np.select([radius < 0.3, radius < 0.65, radius < 0.8], [200.0, 700.0, 500.0], 5.0)
    flair = np.select([radius < 0.3, radius < 0.65, radius < 0.8], [100.0, 480.0, 580.0], 5.0)
    fixed, moving = (Volume((i + 5 * rng.standard_normal(i.shape)).astype(np.float32), affine) for i in (t1w, flair))
    brain = Volume((radius < 0.8).astype(np.float32), affine)
    start = random_start(rng, np.zeros(3))
    found = CONTENDERS["ours"]()(fixed, moved(moving, start), brain)
    assert mean_distance(rng.uniform(-60, 60, (100, 3)), found, start) < 1.0
    assert 0.05 < peak_gigabytes() < 50


def test_the_table_has_a_line_for_every_row_with_its_ratio():
    row = {"pair": "sub-07", "contender": "ours", "starts": 100, "cpu_s": 2.0, "cpu_ratio": 0.05}
    text = table([{**row, "mean_error_mm": 0.2, "most_error_mm": 0.3, "peak_gb": 0.6}])
    assert "| sub-07 | ours | 100 | 2.00 | 0.050 | 0.200 | 0.300 | 0.60 |" in text

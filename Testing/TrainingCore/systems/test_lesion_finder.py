"""The lesion finder: its folded network, its training on windows, what it does without an input, its bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from TrainingCore.data.bundle import Bundle
from TrainingCore.data.case import Case
from TrainingCore.data.recipe import load_recipe
from TrainingCore.data.run import Run
from TrainingCore.networks.folded_unet3d import FoldedUNet3D, fold_voxels, unfold_voxels
from TrainingCore.runtime.errors import BadInput
from TrainingCore.systems.checks import check_recipe
from TrainingCore.systems.lesion_finder import LesionFinder, lesion_weights
from TrainingCore.systems.loading import load_system
from TrainingCore.systems.samples import Sample
from TrainingCore.systems.training_progress import TrainingProgress
from TrainingCore.train import main
from TrainingCore.training.windows import random_window

SMALL = [
    "size=32",
    "field_of_view=192.0",
    "window=16",
    "width=8",
    "levels=2",
    "missing_input=0",
    "ema=0.5",
    "rate=5e-3",
]
BACKGROUND = -4.0
pytestmark = pytest.mark.usefixtures("one_thread")


def finder(*changes: str) -> LesionFinder:
    recipe = load_recipe("lesion_finder", [*SMALL, *changes])
    check_recipe(recipe)
    return LesionFinder(recipe)


def visit(seed: int = 0, size: int = 16) -> Sample:
    """A ball of brain with a lesion that is bright in FLAIR and dark in T1w."""
    generator = torch.Generator().manual_seed(seed)
    line = torch.arange(size) - (size - 1) / 2
    brain = ((line[:, None, None] ** 2 + line[:, None] ** 2 + line**2).sqrt() < 0.45 * size).float()[None, None]
    lesions = torch.zeros_like(brain)
    first = 4 + seed % 3
    lesions[..., first : first + 5, 6:10, 6:11] = 1
    noise = 0.2 * torch.randn(2, 1, size, size, size, generator=generator)
    images = [torch.where(brain > 0, sign * 3 * lesions + own, BACKGROUND) for sign, own in zip((-1, 1), noise)]
    return Sample(torch.cat(images, dim=1), lesions, {"brain": brain, "lesions": lesions})


def test_unfolding_is_the_inverse_of_folding() -> None:
    x = torch.randn(2, 3, 4, 6, 8)
    folded = fold_voxels(x)
    assert folded.shape == (2, 24, 2, 3, 4)
    assert torch.equal(folded[0, :8, 0, 0, 0], x[0, 0, :2, :2, :2].flatten())
    assert torch.equal(unfold_voxels(folded), x)


def test_the_network_keeps_odd_sizes_and_tells_voxels_of_a_block_apart() -> None:
    network = FoldedUNet3D(2, width=8, levels=2)
    x = torch.randn(1, 2, 9, 8, 11)
    with torch.no_grad():
        output = network(x)
    assert output.shape == (1, 1, 9, 8, 11)
    assert output[0, 0, 0, 0, 0] != output[0, 0, 1, 0, 0]


def test_it_learns_to_mark_a_lesion_and_nothing_outside_the_brain() -> None:
    system, rng = finder(), np.random.default_rng(0)
    for step in range(60):
        losses = system.training_step([visit(step % 3), visit(step % 3 + 1)], TrainingProgress(0, 1, 0.0), rng)
    assert losses["dice_loss"] < 0.4
    sample = visit(1)
    probability = system.segment(sample.inputs)
    inside = sample.lesions > 0
    assert probability[inside].mean() > 0.6 > 0.2 > probability[~inside].mean()
    assert not probability[sample.brain == 0].any()
    measures = system.validation_step(sample)
    assert measures["dice_at_0.50"] > 0.6
    assert {"dice_loss", "f1_at_0.50_3"} <= set(measures)


def test_left_and_right_are_treated_alike_and_a_large_head_is_predicted_in_windows(monkeypatch) -> None:
    system, x = finder("network.levels=1"), torch.randn(1, 2, 31, 24, 20)
    probability = system.segment(x)
    assert torch.allclose(system.segment(x.flip(2)), probability.flip(2), atol=1e-6)
    assert not torch.allclose(probability.flip(2), probability, atol=1e-3)
    monkeypatch.setattr("TrainingCore.systems.lesion_finder.AT_ONCE", 20)
    in_windows = system.segment(x)
    assert 0 < float((in_windows - probability).abs().max()) < 0.1  # GroupNorm sees a window, not all of it


def test_without_an_input_it_predicts_in_windows_as_in_training(monkeypatch) -> None:
    edges = []

    def tiled(run, x, edge, overlap):
        edges.append(edge)
        return run(x)

    monkeypatch.setattr("TrainingCore.systems.lesion_finder.tiled_forward", tiled)
    x = visit().inputs
    finder("network.levels=1").segment(x)
    x[:, 0] = BACKGROUND
    finder("network.levels=1").segment(x)
    assert edges == [192, 192, 16, 16]


def test_a_blank_input_is_one_that_is_missing() -> None:
    """Background everywhere is seen as the brain's mean everywhere: what training shows as a missing input."""
    system = finder("missing_input=0.5")
    sample = visit()
    shown = torch.cat([system._some_blank(sample.inputs, np.random.default_rng(seed)) for seed in range(40)])
    blank = (shown == 0).flatten(2).all(dim=2)
    assert blank.any(dim=0).all()  # either may be blank,
    assert not blank.all(dim=1).any()  # never both
    without = sample.inputs.clone()
    without[:, 0] = BACKGROUND
    middle = sample.inputs.clone()
    middle[:, 0] = torch.where(sample.brain[:, 0] > 0, 0.0, BACKGROUND)
    assert torch.equal(system.segment(without), system.segment(middle))


def test_t1w_is_blank_more_often_than_flair() -> None:
    system, sample = finder("missing_input=0.0", "missing_t1w=0.5"), visit()
    shown = torch.cat([system._some_blank(sample.inputs, np.random.default_rng(seed)) for seed in range(40)])
    blank = (shown == 0).flatten(2).all(dim=2).float().mean(dim=0)
    assert 0.3 < blank[0] < 0.7
    assert blank[1] == 0


def test_validation_chooses_threshold_and_smallest_lesion() -> None:
    entry = {"validation_dice_at_0.30": 0.5, "validation_dice_at_0.60": 0.7, "validation_f1_at_0.60_0": 0.2}
    entry |= {"validation_f1_at_0.60_10": 0.4, "validation_f1_at_0.30_3": 0.9}
    assert finder().chosen_on_validation(entry) == {"lesion_threshold": 0.6, "smallest_lesion_mm3": 10.0}
    assert finder().chosen_on_validation({}) == {}


@pytest.mark.parametrize(
    "change", ["window=24", "missing_input=0.9", "missing_t1w=2", "lesion_windows=2", "target=dvr", "ema=1"]
)
def test_settings_that_cannot_be_are_refused(change: str) -> None:
    with pytest.raises(BadInput):
        finder("levels=4", "size=64", change)


def test_a_window_moves_with_its_world_and_is_often_centred_on_a_lesion() -> None:
    lesions = np.zeros((40, 30, 20), bool)
    lesions[35, 25, 15] = True
    ramp = np.arange(lesions.size, dtype=np.float32).reshape(lesions.shape)
    case = Case("01", "1", {"t1w": ramp, "lesions": lesions, "brain": np.ones_like(lesions)}, np.diag([2.0, 2, 2, 1]))
    rng = np.random.default_rng(0)
    windows = [random_window(case, (16, 16, 32), 0.5, rng) for _ in range(60)]
    assert {window.shape for window in windows} == {(16, 16, 20)}
    for window in windows:
        first = np.rint(window.affine[:3, 3] / 2).astype(int)
        assert window.volumes["t1w"][0, 0, 0] == ramp[tuple(first)]
    assert 0.35 < np.mean([window.volumes["lesions"].any() for window in windows]) < 0.95


def test_a_trained_finder_comes_back_from_its_bundle(ball_cohort: Path, tmp_path: Path) -> None:
    changes = [*SMALL, "iterations=4", "validation_people=2", "validate_every=1"]
    assert main(["--data", str(ball_cohort), "--recipe", "lesion_finder", "--out", str(tmp_path / "run"), "--progress",
                 "none", "--set", *changes]) == 0  # fmt: skip
    run = Run.open(tmp_path / "run")
    assert len(run.log()) > 1
    bundle = Bundle.open(run.path / "bundles" / "last")
    assert bundle.description["output"] == "lesions"
    assert "Finds lesions" in bundle.description["intended_use"]
    sample = visit()
    assert 0 < float(load_system(bundle).segment(sample.inputs).max()) < 1


def test_a_small_lesion_weighs_more_a_large_one_as_much_as_the_background():
    truth = torch.zeros(1, 1, 16, 16, 16)
    truth[0, 0, 1:3, 1:3, 1:3] = 1  # 8 voxels
    truth[0, 0, 5:15, 5:15, 5:15] = 1  # 1,000 voxels
    weights = lesion_weights(truth, 3.0)[0, 0]
    assert [float(weights[i, i, i]) for i in (0, 1, 10)] == [1.0, 3.0, 1.0]
    assert (lesion_weights(truth, 1.0) == 1).all()

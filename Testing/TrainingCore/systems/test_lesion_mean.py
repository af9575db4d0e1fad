"""The loss on the mean DVR of each lesion."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from TrainingCore.data.recipe import load_recipe
from TrainingCore.systems.curricular import Curricular
from TrainingCore.systems.parts import lesion_mean_loss
from TrainingCore.systems.samples import Sample
from TrainingCore.systems.training_progress import TrainingProgress


def visit() -> Sample:
    """Two lesions of 27 and 4 voxels and one of 2, at DVR 0.7, 0.9 and 0.5 amid 1.2; the MRI does not show them."""
    size = (1, 1, 16, 16, 16)
    dvr, lesions, brain = torch.full(size, 1.2), torch.zeros(size), torch.zeros(size)
    brain[..., 1:15, 1:15, 1:15] = 1
    for where, value in (
        ((slice(3, 6), slice(3, 6), slice(3, 6)), 0.7),
        ((slice(10, 12), slice(10, 12), 10), 0.9),
        ((slice(3, 5), 12, 12), 0.5),
    ):
        dvr[(..., *where)], lesions[(..., *where)] = value, 1
    inputs = torch.randn((1, 2, 16, 16, 16), generator=torch.Generator().manual_seed(0))
    return Sample(inputs, dvr, {"brain": brain, "lesions": lesions, "white_matter": brain})


def test_each_lesion_counts_once_whatever_its_size() -> None:
    sample = visit()
    labels = sample.lesion_labels
    assert sorted(torch.bincount(labels.flatten()).tolist()[1:]) == [4, 27]  # two voxels have no mean of their own
    error = torch.where(labels == 1, 0.1, 0.0) + torch.where(labels == 2, -0.3, 0.0)
    assert lesion_mean_loss(error, labels).item() == pytest.approx((0.01 + 0.09) / 2, rel=1e-5)
    noise = torch.zeros_like(error)
    noise[..., 4, 4, 4], noise[..., 3, 3, 3] = 0.5, -0.5  # of mean 0 within the first lesion
    assert lesion_mean_loss(error + noise, labels).item() == pytest.approx(0.05, rel=1e-5)


def test_a_visit_without_lesions_has_no_such_loss() -> None:
    error = torch.ones((1, 1, 4, 4, 4), requires_grad=True)
    loss = lesion_mean_loss(error, torch.zeros((1, 1, 4, 4, 4), dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0
    assert error.grad is not None
    assert not error.grad.any()


def test_a_training_step_reports_and_lowers_it() -> None:
    small = ["generator.width=4", "generator.levels=2", "losses.adversarial=0", "data.size=16", "generator_rate=1e-2"]
    system = Curricular(load_recipe("curricular", [*small, "losses.lesion_mean=5"]))
    steps = [
        system.training_step([visit()], TrainingProgress(0, 1, 0.0), np.random.default_rng(step)) for step in range(12)
    ]
    assert steps[-1]["lesion_mean"] < steps[0]["lesion_mean"] / 3
    plain = Curricular(load_recipe("curricular", small))
    assert "lesion_mean" not in plain.training_step([visit()], TrainingProgress(0, 1, 0.0), np.random.default_rng(0))

"""The training loop: what it keeps, what it refuses to keep, and what it logs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from TrainingCore.data.cohort import Cohort
from TrainingCore.data.recipe import load_recipe
from TrainingCore.data.run import Run
from TrainingCore.runtime.errors import MyelinSynthError
from TrainingCore.runtime.processes import Processes
from TrainingCore.systems.samples import Sample, joined
from TrainingCore.training.feeds import CohortFeed
from TrainingCore.training.loop import Trainer
from TrainingCore.training.state import load_state
from TrainingCore.training.store import CaseStore


class Stub:
    """A system of one weight that becomes NaN at the end of an epoch, or tells a loss in some of its steps only."""

    score: tuple[str, ...] = ("l1",)
    progress_losses: ClassVar[dict[str, str]] = {}
    epochs, phases = None, 1

    def __init__(self, bad_epoch: int | None = None, lesions: bool = True) -> None:
        self.weight, self.bad_epoch, self.lesions, self.steps = torch.zeros(1), bad_epoch, lesions, 0

    def training_step(self, batch: Any, progress: Any, rng: Any) -> dict[str, float]:
        self.steps += 1
        if progress.epoch == self.bad_epoch:
            self.weight = torch.full((1,), torch.nan)
        return {"l1": 0.5} | ({"sometimes": 1.0} if self.steps % 2 else {})

    def validation_step(self, sample: Any) -> dict[str, float]:
        return {"l1": float(self.weight + 0.3) if self.lesions else math.nan}

    def weights(self) -> dict[str, torch.Tensor]:
        return {"w": self.weight}

    def state(self) -> Any:
        return self.weights(), {}

    def warnings(self, entry: Any) -> list[str]:
        return []


def trained_stub(stub: Stub, cohort: Path, folder: Path) -> Run:
    recipe = load_recipe("curricular", ["size=32", "epochs=2", "pictures_every=0", "validate_every=1"])
    run, processes = Run.create(folder, recipe, {}), Processes(0, 1, torch.device("cpu"))
    visits = CaseStore(Cohort.read(cohort), recipe, 1.0)
    Trainer(stub, run, CohortFeed(visits, recipe, processes), visits, processes).train(lambda *_: None)  # type: ignore[arg-type]
    return run


def test_weights_that_became_nan_are_neither_best_nor_kept(ball_cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(MyelinSynthError, match="epoch 2: a weight became NaN"):
        trained_stub(Stub(bad_epoch=1), ball_cohort, tmp_path)
    for path in (tmp_path / "checkpoints" / name for name in ("best.safetensors", "last.safetensors")):
        tensors, facts = load_state(path)
        assert torch.isfinite(tensors["w"]).all()
        assert facts.get("epoch", facts.get("epochs_done")) == 1


def test_without_anything_to_validate_on_no_epoch_is_the_best(ball_cohort: Path, tmp_path: Path) -> None:
    run = trained_stub(Stub(lesions=False), ball_cohort, tmp_path)
    assert not run.best_checkpoint.exists()
    assert "validation_score" not in run.log()[-1]


def test_a_loss_of_some_steps_is_averaged_over_them(ball_cohort: Path, tmp_path: Path) -> None:
    assert trained_stub(Stub(), ball_cohort, tmp_path).log()[0]["sometimes"] == 1.0


def test_an_aborted_start_leaves_no_best_weights(tmp_path: Path) -> None:
    run = Run.create(tmp_path, load_recipe("curricular"), {})
    run.best_checkpoint.write_bytes(b"of another training")
    assert not Run.create(tmp_path, load_recipe("curricular"), {}).best_checkpoint.exists()


def test_nawm_of_a_joined_visit_is_that_of_the_visit_alone() -> None:
    brain = torch.ones(1, 1, 4, 4, 4)
    white = brain.clone()
    white[..., :2] = 0
    with_mask = Sample(brain, brain, {"brain": brain, "white_matter": white, "nawm": white})
    without = Sample(brain, brain, {"brain": brain, "white_matter": white})
    both = joined([with_mask, without])
    assert torch.equal(both.nawm[1], without.nawm[0])
    assert torch.equal(both.nawm[0], with_mask.nawm[0])

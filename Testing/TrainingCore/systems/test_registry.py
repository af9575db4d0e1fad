"""A system of one's own is a network, a System and a recipe: nothing else is edited."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from TrainingCore.data.bundle import Bundle
from TrainingCore.data.recipe import load_recipe
from TrainingCore.describe import main as describe
from TrainingCore.evaluate import main as evaluate
from TrainingCore.runtime.errors import BadInput
from TrainingCore.systems import NAMES, system_class
from TrainingCore.systems.checks import check_recipe, training_volumes
from TrainingCore.systems.parts import mean_over
from TrainingCore.systems.registry import SystemEntry, register_system, unregister
from TrainingCore.systems.samples import Sample
from TrainingCore.systems.system import System
from TrainingCore.systems.training_progress import TrainingProgress
from TrainingCore.train import main as train

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.usefixtures("one_thread")


class OneLayer(nn.Module):
    """The network: one convolution."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(channels, 1, kernel, padding=kernel // 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.convolution(inputs)


class Sixth(System):
    """The system: the network and L1."""

    name = "sixth"
    progress_losses: ClassVar = {"l1": "L1 {:.3f}"}
    architecture_keys = ("network.kernel",)

    def __init__(self, recipe: dict[str, Any], device: Any = "cpu") -> None:
        super().__init__(recipe, device)
        self.network = self.learner("network", OneLayer(self.channels, recipe["network"]["kernel"]))

    def training_step(
        self, batch: list[Sample], progress: TrainingProgress, rng: np.random.Generator
    ) -> dict[str, float]:
        loss = mean_over(batch[0].brain, (self.network(batch[0].inputs) - batch[0].target).abs())
        self.network.step(loss)
        return {"l1": loss.item()}

    def predict(self, inputs: Tensor) -> Tensor:
        return self.network.infer(inputs)

    def inference_networks(self) -> Mapping[str, nn.Module]:
        return {"": self.network.module}


def rules(recipe: dict[str, Any]) -> Iterator[tuple[bool, str]]:
    yield recipe["network"]["kernel"] % 2 == 1, "network.kernel must be odd"


@pytest.fixture
def sixth(tmp_path: Path) -> Iterator[str]:
    """Register the system with a root recipe: the common keys and its own."""
    recipe = load_recipe("two_layer_dnn")
    recipe |= {"system": "sixth", "description": "one convolution", "network": {"kernel": 3}}
    recipe["data"] |= {"inputs": ["t1w", "flair"], "size": 32, "validation_people": 1}
    recipe["optimizer"]["rate"] = 0.01
    path = tmp_path / "sixth.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    entry = SystemEntry("sixth", Sixth, "Nobody et al. 2026", rules, lambda recipe: ("white_matter",), recipe=path)
    register_system(entry)
    yield "sixth"
    unregister("sixth")


def test_a_system_added_at_run_time_is_checked_described_trained_and_evaluated(
    sixth: str, ball_cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert describe([sixth, "--set", "network.kernel=5"]) == 0
    said = capsys.readouterr().out
    assert "251" in said  # 2 x 5^3 weights and a bias
    assert "Nobody et al. 2026" in said
    with pytest.raises(BadInput, match="kernel must be odd"):
        check_recipe(load_recipe(sixth, ["network.kernel=4"]))
    assert training_volumes(load_recipe(sixth)) == ("t1w", "flair", "dvr", "brain", "white_matter")

    run, results = tmp_path / "run", tmp_path / "results"
    quiet = ["--threads", "1", "--progress", "none"]
    changes = ["--set", "epochs=2", "pictures_every=0"]
    assert train(["--data", str(ball_cohort), "--recipe", sixth, "--out", str(run), *quiet, *changes]) == 0
    bundle = Bundle.open(run / "bundles" / "best")
    assert (bundle.description["system"], bundle.description["architecture"]) == (sixth, {"network": {"kernel": 3}})
    assert evaluate(["--run", str(run), "--data", str(ball_cohort), "--out", str(results), *quiet]) == 0
    assert json.loads((results / "summary.json").read_text(encoding="utf-8"))["models"]


def test_a_system_that_was_unregistered_is_unknown_again(sixth: str) -> None:
    assert system_class(sixth) is Sixth
    register_system(SystemEntry("seventh", Sixth))
    unregister("seventh")
    with pytest.raises(BadInput, match="no system called 'seventh'"):
        system_class("seventh")


def test_systems_are_found_by_their_files_and_cite_their_papers() -> None:
    from TrainingCore.systems.registry import entry_of

    assert {"curricular", "sketcher_refiner", "joint_flair_wmh", "mask_weighted_pix2pix"} < set(NAMES)
    assert {"contrast_enhancement", "two_layer_dnn", "linear", "geometry"} < set(NAMES)
    for name in NAMES:
        entry = entry_of(name)
        assert entry.system_class().name == name
        assert entry.citation or entry.closed_form or name == "lesion_finder"  # our own


def test_checking_a_recipe_needs_no_torch() -> None:
    code = (
        "import sys; from TrainingCore.data.recipe import load_recipe; from TrainingCore.systems.checks import "
        "check_recipe; check_recipe(load_recipe('curricular')); print('torch' in sys.modules)"
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert process.stdout == "False\n", process.stderr


def test_a_registered_system_predicts_from_its_bundle(sixth: str) -> None:
    system = system_class(sixth)(load_recipe(sixth))
    assert system.predict(torch.zeros(1, 2, 8, 8, 8)).shape == (1, 1, 8, 8, 8)

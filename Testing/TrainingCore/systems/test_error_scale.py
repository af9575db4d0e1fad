"""The generator's second output, the scale of its error: trained beside the map, which stays as it is without it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from TrainingCore.data.bundle import Bundle, save_bundle
from TrainingCore.data.case import Case
from TrainingCore.data.recipe import grid_shape, grid_spacing, load_recipe
from TrainingCore.evaluation.calibration import spread_by_label
from TrainingCore.prediction.cases import predict_case
from TrainingCore.prediction.model import TrainedModel
from TrainingCore.systems.curricular import Curricular
from TrainingCore.systems.loading import load_system
from TrainingCore.systems.parts import laplace_loss
from TrainingCore.systems.samples import Sample
from TrainingCore.systems.training_progress import TrainingProgress

SMALL = ["generator.width=4", "generator.levels=2", "losses.adversarial=0", "data.size=16"]


def build(*changes: str) -> Curricular:
    return Curricular(load_recipe("curricular", [*SMALL, *changes]))


def noisy_visit(seed: int) -> Sample:
    """T1w is dark in the half whose DVR has errors of 0.02 on average and bright where they are 0.2; FLAIR is noise."""
    generator = torch.Generator().manual_seed(seed)
    size = (1, 1, 16, 16, 16)
    bright = torch.zeros(size)
    bright[..., 8:] = 1
    noise = torch.empty(size).exponential_(generator=generator) * torch.sign(torch.randn(size, generator=generator))
    dvr = 1 + noise * torch.where(bright > 0, 0.2, 0.02)
    masks = {name: torch.zeros(size) for name in ("brain", "white_matter", "lesions")}
    for half in (slice(3, 6), slice(10, 13)):  # away from the faces, where a network sees its own padding
        masks["brain"][..., 3:-3, 3:-3, half] = 1
    return Sample(torch.cat((bright - 0.5, torch.randn(size, generator=generator) * 0.1), 1), dvr, masks)


def train(system: Curricular, steps: int) -> None:
    for step in range(steps):
        system.training_step([noisy_visit(step)], TrainingProgress(0, 1, 0.0), np.random.default_rng(step))


def bundle(system: Curricular, folder: Path) -> Bundle:
    data = system.recipe["data"]
    about: dict[str, Any] = {
        "name": "small",
        "system": "curricular",
        "architecture": system.architecture(),
        **{"inputs": data["inputs"], "output": "dvr", "intensity": data["intensity"]},
        "grid": {"shape": list(grid_shape(system.recipe)), "spacing_mm": grid_spacing(system.recipe)},
        **{"training_data": "noise", "simulated_training_data": True, "performance": {}},
        **{"licence": "not stated", "intended_use": "tests"},
    }
    return save_bundle(folder, about, system.weights())


def test_the_map_is_trained_as_without_it() -> None:
    plain, scaled = build(), build("losses.error_scale=1")
    for system in (plain, scaled):
        train(system, 3)
    assert set(scaled.weights()) - set(plain.weights()) == {"scale.weight", "scale.bias"}
    assert all(torch.equal(value, scaled.weights()[name]) for name, value in plain.weights().items())


def test_without_the_l1_loss_it_alone_is_trained_and_finds_the_size_of_the_errors(tmp_path: Path) -> None:
    wide = "generator.width=16"
    plain = build(wide, "generator_rate=3e-3")
    system = build(wide, "losses.error_scale=1", "losses.l1=0", "generator_rate=0.1")
    train(plain, 15)
    system.start_from(bundle(plain, tmp_path / "plain"))
    before = {name: value.clone() for name, value in system.weights().items()}
    train(system, 200)
    moved = {name for name, value in system.weights().items() if not torch.equal(value, before[name])}
    assert moved <= {"scale.weight", "scale.bias"}
    assert moved
    visit = noisy_visit(1000)
    prediction, expected = system.predict_with_scale(visit.inputs).chunk(2, dim=1)
    error = (prediction - visit.target).abs()
    for half in (slice(3, 6), slice(10, 13)):
        scale = float(error[..., 3:-3, 3:-3, half].mean())
        assert float(expected[..., 3:-3, 3:-3, half].mean()) == pytest.approx(math.sqrt(2) * scale, rel=0.3)


def test_the_epoch_is_chosen_by_the_scale_where_the_map_stays_as_it_is() -> None:
    alone, both = build("losses.error_scale=1", "losses.l1=0"), build("losses.error_scale=1")
    assert alone.score == ("scale",)
    assert both.score == ("l1", "lesion_l1")
    visit = noisy_visit(1000)
    before = alone.validation_step(visit)
    train(alone, 20)
    after = alone.validation_step(visit)
    assert after["scale"] < before["scale"]
    assert after["l1"] == before["l1"]


def test_the_laplace_loss_is_smallest_at_the_mean_error() -> None:
    errors = torch.tensor([0.02, 0.04, 0.12])
    scales = torch.tensor([0.03, 0.06, 0.12])
    values = [float(laplace_loss(errors, scale.log().expand(3)).mean()) for scale in scales]
    assert min(values) == values[1]


def test_a_model_of_either_kind_starts_the_other(tmp_path: Path) -> None:
    plain, scaled = build(), build("losses.error_scale=1", "seed=1")
    without, with_scale = bundle(plain, tmp_path / "plain"), bundle(scaled, tmp_path / "scaled")
    scaled.start_from(without)
    plain.start_from(with_scale)
    assert torch.equal(scaled.weights()["last.weight"], without.weights()["last.weight"])
    assert torch.equal(plain.weights()["last.weight"], with_scale.weights()["last.weight"])
    assert not hasattr(load_system(without).generator.module.scale, "weight")
    inputs = noisy_visit(0).inputs
    loaded = load_system(with_scale)
    assert torch.equal(loaded.predict_with_scale(inputs)[:, :1], loaded.predict(inputs))


def test_a_lesions_uncertainty_joins_the_spread_with_the_predicted_error(tmp_path: Path) -> None:
    labels = np.zeros((4, 4, 4), int)
    labels[0], labels[2] = 1, 2
    maps = [np.zeros((4, 4, 4)), np.full((4, 4, 4), 0.02)]
    scale = np.where(labels == 2, 0.04, 0.01)
    spread = np.std([0, 0.02], ddof=1)
    assert np.allclose(spread_by_label(maps, labels, scale)[1:], np.hypot(spread, [0.01, 0.04]))
    model = TrainedModel.load(bundle(build("losses.error_scale=1"), tmp_path / "model"), "cpu")
    volumes = {name: np.random.default_rng(0).random((16, 16, 16), np.float32) for name in ("t1w", "flair")}
    passes: list[torch.Size] = []
    network = model.system(model.device).inference_networks()[""]
    network.register_forward_hook(lambda _network, inputs, _output: passes.append(inputs[0].shape))
    case = Case("01", "1", volumes | {"brain": np.ones((16, 16, 16), bool)}, np.eye(4))
    outputs = predict_case(model, case, True)
    assert len(passes) == len(outputs.maps)  # the map and its scale come from one pass
    assert outputs.scale is not None
    assert np.allclose(outputs.scale, math.sqrt(2) * 0.05, rtol=1e-4)


@pytest.mark.parametrize(("trained_in", "used"), [("float32", "float32"), ("magic", "auto")])
def test_a_model_predicts_in_the_precision_it_was_trained_in(trained_in: str, used: str, tmp_path: Path) -> None:
    from TrainingCore.data.bundle import add_to_bundle

    saved = bundle(build(), tmp_path / "model")
    described = add_to_bundle(saved.path, {"recipe": {"precision": trained_in}})
    assert load_system(described).recipe["precision"] == used

"""What all systems have in common: built, saved, resumed, shipped and described in one way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from TrainingCore.data.bundle import Bundle, save_bundle
from TrainingCore.data.recipe import grid_shape, grid_spacing, load_recipe
from TrainingCore.runtime.errors import BadInput
from TrainingCore.systems import NAMES, system_class
from TrainingCore.systems.learner import Learner
from TrainingCore.systems.linear import solve
from TrainingCore.systems.loading import load_system
from TrainingCore.systems.samples import Sample
from TrainingCore.systems.training_progress import TrainingProgress

SMALL = {
    "curricular": ["generator.width=4", "generator.levels=2", "discriminator.widths=[2, 4, 4, 4]", "patches=4"],
    "sketcher_refiner": ["generator.width=4", "generator.levels=2", "discriminator.widths=[2, 2, 4, 4]"],
    "two_layer_dnn": ["features=2", "kernel=3"],
    "joint_flair_wmh": ["networks.widths=[4, 8]", "slices_per_visit=2"],
    "mask_weighted_pix2pix": ["generator.width=4", "blocks=1", "discriminator.width=4"],
    "contrast_enhancement": ["network.width=2", "levels=2"],
    "lesion_finder": ["size=32", "field_of_view=192.0", "window=32", "width=4", "network.levels=2", "missing_input=0"],
    "linear": [],
    "geometry": ["size=32", "field_of_view=96.0"],
}
MOMENT = TrainingProgress(0, 4, 0.0)


def build(name: str, *changes: str) -> Any:
    return system_class(name)(load_recipe(name, [*SMALL[name], *changes]))


def visit(system: Any, seed: int = 0, size: int = 32) -> Sample:
    """Random MRI in a cube of brain with a cubic lesion."""
    generator = torch.Generator().manual_seed(seed)
    masks = {name: torch.zeros(1, 1, size, size, size) for name in ("brain", "lesions", "white_matter")}
    for name, edge in (("brain", 4), ("white_matter", 8), ("lesions", 13)):
        masks[name][..., edge:-edge, edge:-edge, edge:-edge] = 1
    channels = len(system.recipe["data"]["inputs"])
    inputs = torch.rand(1, channels, size, size, size, generator=generator) * 2 - 1
    return Sample(torch.where(masks["brain"] > 0, inputs, -1.0), masks["brain"] * inputs.mean(1, keepdim=True), masks)


def step(system: Any, seed: int = 0) -> dict[str, float]:
    return system.training_step([visit(system, seed)], MOMENT, np.random.default_rng(seed))


def bundle(system: Any, folder: Path) -> Bundle:
    recipe = system.recipe
    about = {
        "name": "small",
        "system": system.name,
        "architecture": system.architecture(),
        "inputs": recipe["data"]["inputs"],
        "output": recipe["data"]["target"],
        "intensity": recipe["data"]["intensity"],
        "grid": {"shape": list(grid_shape(recipe)), "spacing_mm": grid_spacing(recipe)},
        "training_data": "noise",
        "simulated_training_data": True,
        "performance": {},
        "licence": "not stated",
        "intended_use": "tests",
    }
    return save_bundle(folder, about, system.weights())


@pytest.mark.parametrize("name", [name for name in NAMES if not system_class(name).from_masks])
def test_a_bundle_answers_as_the_system_that_was_trained(name: str, tmp_path: Path) -> None:
    system = build(name)
    losses = step(system)
    assert all(np.isfinite(value) for value in losses.values())
    loaded = load_system(bundle(system, tmp_path / "bundle"))
    inputs = visit(system, 7).inputs
    assert torch.equal(loaded.predict(inputs), system.predict(inputs))
    assert loaded.architecture() == system.architecture()
    assert not any("discriminator" in network or network.endswith(" D") for network in loaded.learners)


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_goes_on_to_the_same_losses_and_weights(name: str) -> None:
    whole, cut = build(name), build(name, "seed=5")
    step(whole)
    tensors, facts = whole.state()
    cut.load_state({key: value.clone() for key, value in tensors.items()}, facts)
    assert step(whole, 1) == step(cut, 1)
    assert all(torch.equal(value, cut.weights()[key]) for key, value in whole.weights().items())


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("linear", "geometry")])
def test_a_checkpoint_of_other_networks_is_refused(name: str) -> None:
    tensors, facts = build(name).state()
    facts["scalers"].popitem()
    with pytest.raises(BadInput, match="Start a new run"):
        build(name).load_state(tensors, facts)


def test_a_frozen_network_hands_gradients_on_and_takes_none() -> None:
    judge = Learner(nn.Linear(3, 1), 1e-2, (0.9, 0.999), torch.device("cpu"), torch.float32)
    shown = torch.ones(2, 3, requires_grad=True)
    judge.frozen(shown).sum().backward()
    assert shown.grad is not None
    assert all(parameter.grad is None and parameter.requires_grad for parameter in judge.module.parameters())
    before = judge.infer(shown)
    judge.step(judge(shown).square().mean())
    assert float(judge.infer(shown).square().mean()) < float(before.square().mean())


def test_a_network_learns_with_dropout_and_answers_without() -> None:
    network = nn.Sequential(nn.Dropout(0.5), nn.Linear(64, 1))
    learner = Learner(network, 1e-2, (0.9, 0.999), torch.device("cpu"), torch.bfloat16)
    x = torch.ones(1, 64)
    assert not torch.equal(learner(x), learner(x))
    assert torch.equal(learner.infer(x), learner.infer(x))
    assert learner(x).dtype is torch.float32


def test_the_regression_is_the_same_to_the_last_bit_wherever_in_memory_it_is_solved() -> None:
    terms = torch.rand(9, 1000, dtype=torch.float64)
    products, moments = terms @ terms.T, terms @ torch.rand(1000, dtype=torch.float64)
    kept, found = [], set()
    for size in range(300):
        kept.append(torch.empty(17 * size % 5000))  # what comes after lies elsewhere
        found.add(solve(products.clone(), moments.clone()).numpy().tobytes())
    assert len(found) == 1

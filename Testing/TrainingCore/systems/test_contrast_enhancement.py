"""Bone et al. 2021: the network, flips, half precision, dropped inputs, and that it learns."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from TrainingCore.data.bundle import Bundle
from TrainingCore.data.recipe import grid_shape, grid_spacing, load_recipe
from TrainingCore.data.run import Run
from TrainingCore.networks.vnet import ResidualBlock3D, VNet
from TrainingCore.runtime.errors import BadInput
from TrainingCore.systems.checks import check_recipe
from TrainingCore.systems.contrast_enhancement import ALL_FLIPS, ContrastEnhancement
from TrainingCore.systems.loading import load_system
from TrainingCore.systems.parts import parameters, precision
from TrainingCore.systems.samples import Sample
from TrainingCore.systems.training_progress import TrainingProgress
from TrainingCore.train import main

SMALL = ["size=16", "width=4", "levels=2", "convolutions=1"]
MOMENT = TrainingProgress(0, 1, 0.0)


def build(*changes: str) -> ContrastEnhancement:
    recipe = load_recipe("contrast_enhancement", [*SMALL, *changes])
    check_recipe(recipe)
    return ContrastEnhancement(recipe)


def visit(seed: int = 0, size: int = 16, channels: int = 4) -> Sample:
    """Noise in [0, 1] in one half of the grid, whose target is its mean over the channels."""
    random = torch.Generator().manual_seed(seed)
    brain = torch.zeros(1, 1, size, size, size)
    brain[:, :, 2 : size // 2] = 1
    inputs = torch.rand(1, channels, size, size, size, generator=random) * brain
    return Sample(inputs, inputs.mean(1, keepdim=True), {"brain": brain, "lesions": brain})


@pytest.mark.parametrize(("width", "count"), [(8, 1_804_369), (16, 7_213_473), (32, 28_845_889)])
def test_the_three_widths_of_the_paper(width: int, count: int) -> None:
    assert parameters(VNet(in_channels=4, width=width)) == count


def test_the_recipe_holds_the_papers_reference() -> None:
    recipe = load_recipe("contrast_enhancement")
    assert recipe["data"]["inputs"] == ["t1w", "flair", "adc", "t1ce_low"]
    assert (grid_shape(recipe), grid_spacing(recipe)) == ((160, 192, 160), 1.0)
    assert (recipe["network"]["width"], recipe["epochs"], recipe["loss"]) == (16, 300, "l2")
    assert recipe["optimizer"] == {"rate": 1e-3, "betas": [0.9, 0.999]}  # torch's defaults of Adam
    assert recipe["flips"] == {"training": 0.5, "averaged": True}
    assert recipe["precision"] == "float16"


def test_skips_join_as_if_they_were_concatenated() -> None:
    torch.manual_seed(0)
    block = ResidualBlock3D((3, 5), 4, 2).double()
    deep, skip = torch.rand(1, 3, 5, 6, 7).double(), torch.rand(1, 5, 5, 6, 7).double()
    joined = torch.cat([deep, skip], dim=1)
    first = torch.nn.functional.leaky_relu(block.convolutions[0](joined), 0.2)
    expected = torch.nn.functional.leaky_relu(block.convolutions[1](first) + block.shortcut(joined), 0.2)
    torch.testing.assert_close(block(deep, skip), expected)


def test_small_volumes_take_a_quicker_way_to_the_same_numbers() -> None:
    torch.manual_seed(0)
    block = ResidualBlock3D((3,), 3, 2).double()
    volume = torch.rand(1, 3, 8, 6, 7).double()  # small enough to be convolved as two halves
    found = block(volume)
    found.square().sum().backward()
    gradients = [weight.grad.clone() for weight in block.parameters()]
    block.zero_grad()
    first = torch.nn.functional.leaky_relu(block.convolutions[0](volume), 0.2)
    expected = torch.nn.functional.leaky_relu(block.convolutions[1](first) + volume, 0.2)
    expected.square().sum().backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients, [weight.grad for weight in block.parameters()])


def improved(*changes: str) -> ContrastEnhancement:
    recipe = load_recipe("contrast_enhancement_improved", [*SMALL, *changes])
    check_recipe(recipe)
    return ContrastEnhancement(recipe)


def test_the_improved_network_begins_as_the_low_dose_and_sees_its_uptake_enlarged() -> None:
    volume = torch.rand(1, 4, 16, 16, 16) * 0.9 + 0.05
    system = improved()
    torch.testing.assert_close(system.predict(volume), volume[:, 3:4])
    assert system.network.module.first.parts == (5,)
    with torch.no_grad():
        system.network.module.last.weight.fill_(0.1)
    seen: list[Tensor] = []
    system.network.module.first.register_forward_pre_hook(lambda module, maps: seen.append(maps[0]))
    system.predict(volume)
    torch.testing.assert_close(seen[0][:, 4], 8 * (volume[:, 3] - volume[:, 0]))


def test_the_improved_network_does_without_what_an_ablation_drops() -> None:
    for dropped, channels in (("t1ce_low", 3), ("t1w", 3), ("adc", 4)):
        left = [name for name in ("t1w", "flair", "adc", "t1ce_low") if name != dropped]
        system = improved(f"data.inputs=[{', '.join(left)}]")
        assert system.network.module.first.parts == (channels,)
        assert system.predict(torch.rand(1, 3, 16, 16, 16)).shape == (1, 1, 16, 16, 16)


def test_checkpointing_changes_memory_and_no_gradient() -> None:
    torch.manual_seed(0)
    network = VNet(in_channels=2, width=2, levels=3)
    volume = torch.rand(1, 2, 12, 10, 9)  # no axis divides by 4
    gradients: list[list[Tensor]] = []
    for network.checkpointing in (False, True):
        network.zero_grad()
        answer = network(volume)
        answer.square().sum().backward()
        gradients.append([weight.grad.clone() for weight in network.parameters()])
    assert answer.shape == (1, 1, 12, 10, 9)
    assert 0 < answer.min().item() < answer.max().item() < 1
    assert all(torch.equal(a, b) for a, b in zip(*gradients))
    assert all(gradient.any() for gradient in gradients[0])


def test_the_mean_of_eight_flips_does_not_care_how_a_head_lies() -> None:
    volume = torch.rand(1, 4, 8, 8, 8)
    assert len(set(ALL_FLIPS)) == 8
    system, plain = build(), build("averaged=false")
    for axes in ALL_FLIPS:
        torch.testing.assert_close(system.predict(volume.flip(axes)).flip(axes), system.predict(volume))
    assert not torch.allclose(plain.predict(volume.flip(2)).flip(2), plain.predict(volume), atol=1e-4)


def test_training_flips_inputs_target_and_brain_together() -> None:
    sample = visit()
    system = build("flips.training=1")
    flipped = system._flipped(sample, np.random.default_rng(0))
    for volume, original in zip(flipped, (sample.inputs, sample.target, sample.brain)):
        assert torch.equal(volume, original.flip((2, 3, 4)))
    rng, half = np.random.default_rng(0), build()
    changed = [not torch.equal(half._flipped(sample, rng)[2], sample.brain) for _ in range(400)]  # seen along one axis
    assert 0.42 < np.mean(changed) < 0.58


def test_what_lies_outside_the_brain_does_not_count() -> None:
    plain, dirty = visit(), visit()
    dirty.target = torch.where(dirty.brain > 0, dirty.target, torch.tensor(1.0))
    one, other = (build().training_step([sample], MOMENT, np.random.default_rng(0)) for sample in (plain, dirty))
    assert one == other


def test_both_losses_are_means_over_the_volume() -> None:
    sample = visit()
    for name, power in (("l2", 2), ("l1", 1)):
        system = build(f"loss={name}", "flips.training=0")
        with torch.no_grad():
            error = (system.network.module(sample.inputs) * sample.brain - sample.target).abs() ** power
        assert system.training_step([sample], MOMENT, np.random.default_rng(0))["loss"] == pytest.approx(
            float(error.mean()), rel=1e-5
        )


def test_half_precision_is_for_gpus_and_its_scaled_loss_survives_a_checkpoint() -> None:
    assert precision("float16", torch.device("cuda")) is torch.float16
    assert precision("float16", torch.device("cpu")) is torch.float32
    assert not build().network.scaler.is_enabled()
    systems = [build(), build("seed=9")]
    for system in systems:  # as on a GPU, computed here
        system.network.kind = torch.float16
        system.network.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20, growth_interval=1)
    one, other = systems
    first = one.training_step([visit()], MOMENT, np.random.default_rng(0))["loss"]
    for _ in range(25):
        last = one.training_step([visit()], MOMENT, np.random.default_rng(0))["loss"]
    assert last < 0.8 * first
    assert one.network.scaler.get_scale() != 2.0**20  # it moved, up or after an overflow down
    other.load_state(*deepcopy(one.state()))
    assert other.network.scaler.get_scale() == one.network.scaler.get_scale()
    ends = [system.training_step([visit(1)], MOMENT, np.random.default_rng(1)) for system in systems]
    assert ends[0] == ends[1]


def test_a_single_input_is_enough() -> None:
    recipe = load_recipe("contrast_enhancement", [*SMALL, "data.inputs=[t1ce_low]"])
    sample = visit(channels=1)
    system = ContrastEnhancement(recipe)
    system.training_step([sample], MOMENT, np.random.default_rng(0))
    assert system.predict(sample.inputs).shape == sample.target.shape


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["rule=percentile"], "must be unit"),
        (["target=dvr"], "must be an MRI"),
        (["loss=huber"], "loss must be"),
        (["flips.training=2"], "probability"),
        (["levels=6", "size=16"], "too many"),
        (["rate=0"], "learning rates"),
        (["inputs=[]"], "data.inputs"),
    ],
)
def test_recipes_that_cannot_work_are_refused(changes: list[str], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        check_recipe(load_recipe("contrast_enhancement", changes))


def test_it_learns_through_the_command_and_its_bundle_predicts_the_same(ball_cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    few = ["epochs=12", "validation_people=1", "pictures_every=0", "rate=3e-3", "flips.training=0.5"]
    options = ["--data", ball_cohort, "--recipe", "contrast_enhancement", "--out", out, "--threads", 1]
    assert main([*map(str, options), "--progress", "none", "--set", *SMALL, *few]) == 0
    log = Run.open(out).log()
    assert log[-1]["loss"] < 0.5 * log[0]["loss"]
    assert log[-1]["validation_l2"] == log[-1]["validation_score"]
    assert log[-1]["validation_tumour_l2"] < log[0]["validation_tumour_l2"]
    bundle = Bundle.open(out / "bundles" / "last")
    system = ContrastEnhancement(Run.open(out).recipe)
    system.start_from(bundle)
    volume = visit().inputs
    assert torch.equal(load_system(bundle).predict(volume), system.predict(volume))
    with pytest.raises(BadInput, match="another network"):
        build("width=6").start_from(bundle)


def test_the_tumour_of_the_validation_is_its_enhancing_part_as_in_evaluate() -> None:
    sample = visit()
    system = build()
    whole = system.validation_step(sample)["tumour_l2"]
    sample.masks["enhancing"] = torch.zeros_like(sample.brain)
    sample.masks["enhancing"][:, :, 2:4, 2:4, 2:4] = 1
    error = (system.predict(sample.inputs) * sample.brain - sample.target * sample.brain)[sample.masks["enhancing"] > 0]
    part = system.validation_step(sample)["tumour_l2"]
    assert part != pytest.approx(whole, rel=1e-3)
    assert part == pytest.approx(float((error**2).mean()), rel=1e-3)

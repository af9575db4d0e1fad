"""How discriminators teach: the same statistics as when they learn, a weight beside L1, patches in mm."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch

from TrainingCore.data.recipe import load_recipe, patch_voxels
from TrainingCore.networks.patch_discriminator import PatchDiscriminator
from TrainingCore.runtime.errors import BadInput
from TrainingCore.systems import system_class
from TrainingCore.systems.checks import check_recipe
from TrainingCore.systems.learner import Learner
from TrainingCore.systems.parts import parameters
from TrainingCore.systems.patches import patch_corners, share_in_patches
from TrainingCore.systems.samples import Sample
from TrainingCore.systems.training_progress import TrainingProgress

SMALL = {
    "curricular": ["size=32", "generator.width=4", "generator.levels=2", "widths=[4, 4, 8, 8]", "patches=8"],
    "sketcher_refiner": ["size=32", "generator.width=4", "generator.levels=2", "discriminator.widths=[4, 4, 8, 8]"],
    "mask_weighted_pix2pix": ["size=32", "generator.width=4", "blocks=1", "discriminator.width=4", "layers=2"],
}
MOMENT = TrainingProgress(1, 4, 0.3)
pytestmark = pytest.mark.usefixtures("one_thread")


def visit(channels: int = 2, size: int = 32) -> Sample:
    """A cube of white matter in a cube of brain, with lesions of 3^3 voxels in a corner of it."""
    generator = torch.Generator().manual_seed(1)
    masks = {name: torch.zeros(1, 1, size, size, size) for name in ("brain", "white_matter", "lesions")}
    for name, edge in (("brain", 3), ("white_matter", 7)):
        masks[name][..., edge:-edge, edge:-edge, edge:-edge] = 1
    masks["lesions"][..., 9:12, 9:12, 9:12] = masks["lesions"][..., 9:12, 9:12, 15:18] = 1
    inputs = torch.rand(1, channels, size, size, size, generator=generator) * 2 - 1
    target = 1.0 + 0.5 * inputs.mean(1, keepdim=True) - 0.3 * masks["lesions"]
    return Sample(torch.where(masks["brain"] > 0, inputs, -1.0), target * masks["brain"], masks)


def build(name: str, *changes: str) -> Any:
    recipe = load_recipe(name, [*SMALL[name], *changes])
    check_recipe(recipe)
    return system_class(name)(recipe)


def channels(system: Any) -> int:
    return len(system.recipe["data"]["inputs"])


@pytest.mark.parametrize("name", SMALL)
def test_generated_patches_are_judged_alike_when_d_learns_and_when_it_teaches(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a step of D in between, the output for the generated patches must be the same to the last digit."""
    system = build(name)
    learnt: list[torch.Tensor] = []
    taught: list[torch.Tensor] = []
    judges = [one for key, one in system.learners.items() if key == "discriminator" or key.endswith(" D")]
    for judge in judges:
        monkeypatch.setattr(judge, "step", lambda loss: None)
    call, frozen = Learner.__call__, Learner.frozen

    def learning(self: Any, inputs: torch.Tensor) -> torch.Tensor:
        output = call(self, inputs)
        if self in judges:
            learnt.append(output.detach())
        return output

    def teaching(self: Any, inputs: torch.Tensor) -> torch.Tensor:
        output = frozen(self, inputs)
        taught.append(output.detach())
        return output

    monkeypatch.setattr(Learner, "__call__", learning)
    monkeypatch.setattr(Learner, "frozen", teaching)
    if name == "sketcher_refiner":
        system.refiner = None  # one GAN is enough
    system.training_step([visit(channels(system))], MOMENT, np.random.default_rng(0))
    halves = learnt[-1].chunk(2)[1] if name != "mask_weighted_pix2pix" else learnt[-1]
    shown = taught[0].chunk(2)[1] if name != "mask_weighted_pix2pix" else taught[0]
    assert torch.allclose(shown, halves, atol=1e-6)


def test_a_discriminator_that_cannot_tell_leaves_the_generators_own_rate_alone() -> None:
    system = build("curricular")
    for _ in range(200):
        system.balance.update(0.5, 0.5)
    losses = system.training_step([visit()], MOMENT, np.random.default_rng(0))
    assert system.generator.optimizer.param_groups[0]["lr"] == system.recipe["optimizer"]["generator_rate"]
    assert losses["weight_adversarial"] == pytest.approx(0.05)
    assert losses["loss_G"] == pytest.approx(losses["l1"] + 0.05 * losses["adversarial"], rel=1e-4)


@pytest.mark.parametrize("name", SMALL)
def test_the_log_says_how_strongly_the_discriminator_pulls_beside_l1(name: str) -> None:
    key = "sketcher_gradient_ratio" if name == "sketcher_refiner" else "gradient_ratio"
    sizes = []
    for weight in (1.0, 0.25):
        system = build(name, f"adversarial={weight}")
        sizes.append(system.training_step([visit(channels(system))], MOMENT, np.random.default_rng(0))[key])
    assert sizes[1] == pytest.approx(sizes[0] / 4, rel=1e-3)


def test_the_generator_steps_down_the_gradient_of_both_losses() -> None:
    from TrainingCore.systems.parts import combine_losses

    weight = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    output = weight * 2
    pixel, adversarial = output.abs().sum(), (output[:1] ** 2).sum()
    loss, ratio = combine_losses(output, pixel, adversarial)
    loss.backward()
    expected = torch.autograd.grad((weight * 2).abs().sum() + ((weight * 2)[:1] ** 2).sum(), weight)[0]
    assert torch.equal(weight.grad, expected)
    assert ratio == pytest.approx(4 / 3**0.5)


def test_a_strong_adversarial_gradient_is_scaled_down_to_its_limit_and_a_weak_one_left_alone() -> None:
    from TrainingCore.systems.parts import combine_losses

    output = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    for limit, kept in ((0.0, 4.0), (0.5, 0.5 * 3**0.5), (9.0, 4.0)):
        pixel, adversarial = output.abs().sum(), 2 * (output[:1] ** 2).sum()  # gradients (1, -1, 1) and (4, 0, 0)
        loss, ratio = combine_losses(output, pixel, adversarial, limit)
        assert ratio == pytest.approx(4 / 3**0.5)
        (gradient,) = torch.autograd.grad(loss, output)
        assert gradient.tolist() == pytest.approx([1 + kept, -1, 1])


def test_a_recipe_limits_the_discriminators_pull_whatever_its_weight() -> None:
    def step(*changes: str) -> tuple[dict[str, float], list[torch.Tensor]]:
        system = build("curricular", *changes)
        log = system.training_step([visit(channels(system))], MOMENT, np.random.default_rng(0))
        return log, [parameter.grad.clone() for parameter in system.generator.module.parameters()]

    free, of_free = step("adversarial=1")
    strong, of_strong = step("adversarial=100", "adversarial_at_most=0.01")
    weak, of_weak = step(f"adversarial={0.01 / free['gradient_ratio']}")
    assert strong["gradient_ratio"] == pytest.approx(100 * free["gradient_ratio"], rel=1e-3)
    assert strong["weight_adversarial"] == pytest.approx(weak["weight_adversarial"], rel=1e-3)
    assert all(torch.allclose(one, other, rtol=1e-3, atol=1e-7) for one, other in zip(of_strong, of_weak))
    assert not all(torch.allclose(one, other, rtol=1e-2) for one, other in zip(of_strong, of_free))
    unlimited, of_unlimited = step("adversarial=1", "adversarial_at_most=1e6")
    assert unlimited == free
    assert all(torch.equal(one, other) for one, other in zip(of_unlimited, of_free))


def test_the_limit_leaves_the_l1_of_patches_alone() -> None:
    def gradients(*changes: str) -> tuple[dict[str, float], list[torch.Tensor]]:
        system = build("curricular", "patch_l1=1", *changes)
        log = system.training_step([visit(channels(system))], MOMENT, np.random.default_rng(0))
        return log, [parameter.grad.clone() for parameter in system.generator.module.parameters()]

    alone, of_alone = gradients("adversarial=0", "adversarial_at_most=0.01")
    _, of_unlimited = gradients("adversarial=0")
    assert "gradient_ratio" not in alone
    assert all(torch.equal(one, other) for one, other in zip(of_alone, of_unlimited))
    _, of_weak = gradients("adversarial=1", "adversarial_at_most=1e-6")  # what is left is L1 and the L1 of patches
    assert all(torch.allclose(one, other, rtol=1e-3, atol=1e-7) for one, other in zip(of_weak, of_alone))


@pytest.mark.parametrize("strides", [(2, 2, 2, 2), (3, 3, 3, 3)])
def test_the_papers_discriminator_keeps_its_parameters_with_either_stride(strides: tuple[int, ...]) -> None:
    assert parameters(PatchDiscriminator(3, 16, strides=strides)) == 4_653_441
    assert parameters(PatchDiscriminator(3, 8, strides=strides)) == 4_653_441


def test_strides_are_a_setting_of_the_recipe() -> None:
    recipe = load_recipe("curricular", ["size=128", "strides=[3, 3, 3, 3]", "generator.width=4", "levels=2"])
    check_recipe(recipe)
    network = system_class("curricular")(recipe).discriminator.module
    assert [block[0].stride[0] for block in network.blocks] == [3, 3, 3, 3]
    assert parameters(network) == 4_653_441


@pytest.mark.parametrize(("size", "edge"), [(128, 16), (96, 12), (64, 8), (32, 4)])
def test_patches_span_24_mm_at_any_voxel_size(size: int, edge: int) -> None:
    recipe = load_recipe("curricular", [f"size={size}", "generator.width=4", "levels=2", "widths=[4, 4, 4, 4]"])
    check_recipe(recipe)
    assert patch_voxels(recipe) == edge
    system = system_class("curricular")(recipe)
    assert system.discriminator.module(torch.zeros(2, 3, edge, edge, edge)).shape == (2, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("patch_mm=0", "above 0 mm"),
        ("patch_mm=2.0", "at least 2 voxels"),
        ("patch_mm=200.0", "at least one patch"),
        ("strides=[2, 2]", "one for each of discriminator.widths"),
        ("strides=[2, 2, 1, 1]", "bring a patch of 16 voxels to 4"),
        ("losses.l1=0 adversarial=0", "nothing is learnt"),
        ("losses.l1=0 adversarial=1 adversarial_at_most=1", "needs losses.l1"),
    ],
)
def test_patches_strides_and_losses_that_cannot_work_are_refused(change: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        check_recipe(load_recipe("curricular", change.split() if "losses" in change else [change]))


def test_the_share_of_lesion_in_patches_is_that_of_cutting_each() -> None:
    rng = np.random.default_rng(0)
    mask, centres = rng.random((20, 24, 18)) < 0.1, rng.integers(0, 18, (9, 3))
    cut = [mask[i : i + 8, j : j + 8, k : k + 8].mean() for i, j, k in patch_corners(centres, mask.shape, 8)]
    assert share_in_patches(mask, centres, 8) == pytest.approx(np.mean(cut))
    assert share_in_patches(mask, np.zeros((0, 3)), 8) == 0


def test_large_patches_hold_equally_much_lesion_everywhere_and_are_warned_of() -> None:
    small, large = build("curricular", "patch_mm=24.0"), build("curricular", "patch_mm=192.0", "strides=[4, 4, 4, 4]")
    shares = small.lesion_shares(visit())
    assert shares["lesion_share_lesion_patches"] > 3 * shares["lesion_share_random_patches"] > 0
    assert small.warnings(shares) == []
    (sentence,) = large.warnings(large.lesion_shares(visit()))
    assert "patch_mm" in sentence
    assert large.warnings({}) == []


def test_describe_prints_the_share_of_lesion_and_its_warning(ball_cohort: Any, capsys: Any) -> None:
    from TrainingCore.describe import main

    assert main(["curricular", "--data", str(ball_cohort), "--set", *SMALL["curricular"]]) == 0
    assert "lesion in random patches" in capsys.readouterr().out
    changes = [*SMALL["curricular"], "patch_mm=192.0", "strides=[4, 4, 4, 4]"]
    assert main(["curricular", "--data", str(ball_cohort), "--set", *changes]) == 0
    assert "Warning: Lesion patches hold" in capsys.readouterr().out


def test_training_logs_the_shares_and_warns_once(
    ball_cohort: Any, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    from TrainingCore.data.run import Run
    from TrainingCore.train import main

    changes = [*SMALL["curricular"], "patch_mm=192.0", "strides=[4, 4, 4, 4]", "epochs=2", "validation_people=1"]
    options = ["--data", str(ball_cohort), "--out", str(tmp_path / "run"), "--threads", "1", "--progress", "none"]
    with caplog.at_level(logging.WARNING):
        assert main([*options, "--set", *changes, "pictures_every=0"]) == 0
    entry = Run.open(tmp_path / "run").log()[0]
    assert entry["lesion_share_lesion_patches"] == pytest.approx(entry["lesion_share_random_patches"])
    assert sum("patch_mm" in record.message for record in caplog.records) == 1


def test_the_refiner_learns_from_sketches_drawn_with_dropout() -> None:
    """Equation 3 of Wei et al. 2018 draws the sketch from the sketcher; without noise every draw would be the same."""
    system, seen = build("sketcher_refiner", "levels=3", "dropout=0.5", "sketcher_rate=1e-12"), []
    step = system.refiner.step
    system.refiner.step = lambda given, *rest: seen.append(given[:, -1:].clone()) or step(given, *rest)
    for seed in range(2):
        system.training_step([visit(4)], MOMENT, np.random.default_rng(seed))
    assert float((seen[0] - seen[1]).abs().mean()) > 1e-3
    assert torch.equal(system.sketch(visit(4).inputs), system.sketch(visit(4).inputs))


def test_the_schedule_weights_l1_where_there_is_no_discriminator() -> None:
    """In the first epoch of the curriculum every patch lies on the one lesion: the loss is the error there alone."""
    system = build("curricular", "adversarial=0", "losses.l1=0", "patch_l1=2", "schedule.name=curricular")
    sample = visit()
    sample.masks["lesions"][..., 15:18] = 0
    error = (system.predict(sample.inputs) - sample.target).abs() * sample.brain
    (corner,) = patch_corners(sample.lesion_centres, (32, 32, 32), system.patch)
    box = tuple(slice(first, first + system.patch) for first in corner)
    there = error[(0, 0, *box)].sum() / sample.brain[(0, 0, *box)].sum()
    losses = system.training_step([sample], TrainingProgress(0, 4, 0.0), np.random.default_rng(0))
    assert system.discriminator is None
    assert losses["loss_G"] == pytest.approx(2 * float(there), rel=1e-4)
    assert losses["random_share"] == 0

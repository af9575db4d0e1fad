"""Genc et al. 2022: the networks, the losses as the paper has them, and that it learns."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from TrainingCore.crossvalidate import main as crossvalidate
from TrainingCore.data.bundle import Bundle
from TrainingCore.data.cohort import Cohort
from TrainingCore.data.recipe import load_recipe
from TrainingCore.data.run import Run
from TrainingCore.imaging.volumes import read_volume
from TrainingCore.networks.patchgan2d import PatchGAN2D
from TrainingCore.networks.resnet2d import ResNetGenerator2D
from TrainingCore.runtime.errors import BadInput
from TrainingCore.synthesize import main as synthesize
from TrainingCore.systems.checks import check_recipe, training_volumes
from TrainingCore.systems.loading import load_system
from TrainingCore.systems.mask_weighted_pix2pix import MaskWeightedPix2Pix
from TrainingCore.systems.parts import parameters
from TrainingCore.systems.samples import Sample
from TrainingCore.systems.slices import axial, draw_slices, slice_by_slice
from TrainingCore.systems.training_progress import TrainingProgress
from TrainingCore.train import main

SMALL = ["size=32", "generator.width=4", "generator.blocks=1", "discriminator.width=4", "discriminator.layers=2"]
MOMENT = TrainingProgress(0, 1, 0.0)


def visit(seed: int = 0, size: int = 24) -> Sample:
    """A ball of brain in noise, with a lesion, in [-1, 1]."""
    random = torch.Generator().manual_seed(seed)
    place = torch.stack(torch.meshgrid(*[torch.arange(size) - (size - 1) / 2] * 3, indexing="ij"))
    radius = place.square().sum(0).sqrt()[None, None]
    brain, lesions = (radius < 0.4 * size).float(), (radius < 0.15 * size).float()
    inputs = torch.rand(1, 1, size, size, size, generator=random) * 2 - 1
    target = torch.where(brain > 0, -0.5 * inputs + 0.3 * lesions, torch.tensor(-1.0))
    return Sample(torch.where(brain > 0, inputs, torch.tensor(-1.0)), target, {"brain": brain, "lesions": lesions})


def build(*changes: str, recipe: str = "mask_weighted_pix2pix") -> MaskWeightedPix2Pix:
    chosen = load_recipe(recipe, [*SMALL, *changes])
    check_recipe(chosen)
    return MaskWeightedPix2Pix(chosen)


@pytest.mark.parametrize(
    ("name", "pair", "paper"),
    [
        ("mask_weighted_pix2pix", (["t2w"], "flair"), (4.87e-5, 2, 2, 118.74, 151.04)),
        ("mask_weighted_pix2pix_t1", (["t1ce"], "t1w"), (1.49e-4, 2, 4, 90.24, 124.85)),
    ],
)
def test_the_recipes_hold_the_papers_optimum(name: str, pair: Any, paper: Any) -> None:
    recipe = load_recipe(name)
    data, losses = recipe["data"], recipe["losses"]
    assert (data["inputs"], data["target"]) == pair
    found = (recipe["optimizer"]["rate"], data["visits_per_step"], recipe["samples"], losses["l1"], losses["mask"])
    assert found == paper
    assert recipe["iterations"] == 5000
    for twin, key in (("without_mask", "mask"), ("l1_only", "adversarial")):
        other = load_recipe(f"{name}_{twin}")
        assert other["losses"] == {**losses, key: 0.0}
        assert other["data"] == data


def test_the_networks_have_the_size_of_pix2pix() -> None:
    assert parameters(ResNetGenerator2D()) == 11_370_881
    discriminator = PatchGAN2D()
    assert parameters(discriminator) == 2_764_609
    assert discriminator.receptive_field == 70


def test_every_answer_of_the_discriminator_sees_70_pixels() -> None:
    network = PatchGAN2D(width=2).eval()
    images = torch.rand(1, 2, 160, 160, requires_grad=True)
    answers = network(images)
    answers[0, 0, answers.shape[2] // 2, answers.shape[3] // 2].backward()
    seen = images.grad[0].abs().amax(0) > 0
    assert (int(seen.any(0).sum()), int(seen.any(1).sum())) == (70, 70)


def test_a_step_draws_slices_with_brain_from_every_visit() -> None:
    system = build("samples=3")
    shapes = []
    system.generator.module.register_forward_hook(lambda module, given, answer: shapes.append(tuple(given[0].shape)))
    system.training_step([visit(0), visit(1)], MOMENT, np.random.default_rng(0))
    assert shapes == [(6, 1, 24, 24)]
    sample = visit()
    for seed in range(5):
        chosen = draw_slices(sample, 8, np.random.default_rng(seed))
        assert len(set(chosen)) == 8
        assert (axial(sample.brain, chosen).amax((1, 2, 3)) == 1).all()


def test_the_generators_loss_is_the_papers_sum() -> None:
    losses = build("l1=3", "losses.mask=5").training_step([visit()], MOMENT, np.random.default_rng(0))
    assert losses["loss_G"] == pytest.approx(losses["adversarial"] + 3 * losses["l1"] + 5 * losses["mask"], rel=1e-5)
    assert 0 < losses["mask"] < losses["l1"]


def test_the_mask_loss_is_the_error_between_masked_images_over_all_pixels() -> None:
    sample = visit()
    sample.masks["lesions"] = sample.brain
    losses = build().training_step([sample], MOMENT, np.random.default_rng(0))
    assert losses["mask"] == pytest.approx(losses["l1"], rel=1e-6)  # all brain is lesion, all else is alike
    sample = visit()
    sample.masks["lesions"] = torch.zeros_like(sample.brain)
    assert build().training_step([sample], MOMENT, np.random.default_rng(0))["mask"] == 0


def test_what_lies_outside_the_brain_reaches_neither_loss_nor_discriminator() -> None:
    plain, dirty = visit(), visit()
    dirty.target = torch.where(dirty.brain > 0, dirty.target, torch.tensor(0.7))
    one, other = (build().training_step([sample], MOMENT, np.random.default_rng(3)) for sample in (plain, dirty))
    assert one == other


def test_the_l1_twin_has_no_discriminator_and_starts_from_the_same_generator() -> None:
    twin, whole = build("adversarial=0"), build()
    losses = twin.training_step([visit()], MOMENT, np.random.default_rng(0))
    assert "loss_D" not in losses
    assert losses["adversarial"] == 0
    assert not any("discriminator" in name for name in twin.state()[0])
    assert "discriminator" not in twin.describe()["trainable parameters"]
    fresh = build("adversarial=0")
    assert all(
        torch.equal(a, b) for a, b in zip(fresh.generator.module.parameters(), whole.generator.module.parameters())
    )


def test_the_discriminator_learns_to_tell_and_the_generator_is_left_alone_by_it() -> None:
    system = build("rate=2e-3")
    generator = deepcopy(system.generator.module.state_dict())
    inputs, real = torch.rand(4, 1, 32, 32), torch.full((4, 1, 32, 32), 0.5)
    first = system._discriminator_step(system.discriminator, inputs, real, -real)
    for _ in range(30):
        last = system._discriminator_step(system.discriminator, inputs, real, -real)
    assert last["loss_D"] < 0.5 * first["loss_D"]
    assert last["D_real"] > 0.7 > 0.3 > last["D_fake"]
    assert all(torch.equal(value, generator[name]) for name, value in system.generator.module.state_dict().items())


def test_a_checkpoint_goes_on_to_the_same_bits() -> None:
    whole, cut = build(), build("seed=5")
    whole.training_step([visit()], MOMENT, np.random.default_rng(0))
    cut.load_state(*deepcopy(whole.state()))
    one, other = (s.training_step([visit(1)], MOMENT, np.random.default_rng(1)) for s in (whole, cut))
    assert one == other
    assert all(torch.equal(a, cut.weights()[name]) for name, a in whole.weights().items())


def test_a_slice_is_predicted_alike_alone_and_among_others() -> None:
    system = build()
    volume = visit().inputs
    whole = system.predict(volume)
    alone = slice_by_slice(system.generator.infer, volume[..., 8:15], empty=-1.0, chunk=2).detach()
    assert whole.shape == volume.shape
    assert torch.allclose(whole[..., 8:15], alone, atol=1e-6)
    assert (whole[..., 0] == -1).all()  # no brain there, nothing computed


def test_validation_scores_one_minus_ssim() -> None:
    system, sample = build(), visit()
    measured = system.validation_step(sample)
    assert measured["dissimilarity"] == 1 - measured["ssim_brain"]
    assert system.score == ("dissimilarity",)
    sample.masks.pop("lesions")
    measured = system.validation_step(Sample(sample.inputs, sample.target, sample.masks))
    assert np.isnan(measured["ssim_lesion"])


def test_lesion_masks_are_needed_for_the_mask_loss_alone() -> None:
    assert "lesions" in training_volumes(load_recipe("mask_weighted_pix2pix"))
    assert "lesions" not in training_volumes(load_recipe("mask_weighted_pix2pix_without_mask"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["samples=0"], "samples"),
        (["target=dvr"], "must be an MRI"),
        (["clip=false"], "clip: true"),
        (["rule=gaussian"], "clip: true"),
        (["generator.norm=group"], "generator.norm"),
        (["added_to=t3w"], "generator.added_to"),
        (["added_to=flair"], "not be the target"),
        (["adversarial=0", "losses.l1=0", "losses.mask=0"], "one of the losses"),
        (["size=16"], "in plane"),
        (["rate=0"], "learning rates"),
    ],
)
def test_recipes_that_cannot_work_are_refused(changes: list[str], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        check_recipe(load_recipe("mask_weighted_pix2pix", changes))


def test_the_pair_of_contrast_agent_takes_intensities_that_a_tumour_does_not_set() -> None:
    before = build(recipe="mask_weighted_pix2pix_t1")
    assert before.recipe["data"]["intensity"]["rule"] == "symmetric"
    assert before.background == -1
    assert all(
        load_recipe(f"mask_weighted_pix2pix_t1_{twin}")["data"]["intensity"] == before.recipe["data"]["intensity"]
        for twin in ("without_mask", "l1_only", "linear")
    )


def test_a_generator_that_adds_to_an_input_begins_as_it_and_learns() -> None:
    system = build("added_to=t1ce", "rate=5e-3", recipe="mask_weighted_pix2pix_t1")
    sample = visit()
    volume, brain = sample.inputs * 0.95, sample.brain > 0
    torch.testing.assert_close(system.predict(volume)[brain], volume[brain])
    losses = [system.training_step([sample], MOMENT, np.random.default_rng(0))["l1"] for _ in range(12)]
    assert losses[-1] < 0.95 * losses[0]
    plain = build(recipe="mask_weighted_pix2pix_t1")
    assert parameters(plain.generator.module) == parameters(system.generator.module)
    assert system.architecture()["generator"]["added_to"] == "t1ce"
    assert build("added_to=t1ce").generator.module.added_to is None  # an input that is not there


def test_skips_bring_detail_past_the_quarter_of_the_resolution() -> None:
    torch.manual_seed(0)
    with_skips, plain = ResNetGenerator2D(width=4, blocks=1, skips=True), ResNetGenerator2D(width=4, blocks=1)
    for network in (with_skips, plain):
        network.eval()
        for layer in network.layers[3:-1]:  # all that lies below full resolution
            for weight in layer.parameters():
                torch.nn.init.zeros_(weight)
    image = torch.rand(1, 1, 21, 26)
    assert with_skips(image).shape == image.shape
    assert plain(image).std() < 1e-6
    assert with_skips(image).std() > 1e-3
    recipe = load_recipe("mask_weighted_pix2pix_t1_improved", SMALL)
    told = MaskWeightedPix2Pix(recipe).describe()
    assert told["generator's additions"] == "skips and added to t1ce"
    assert build().describe()["generator's additions"] == "none, as in the paper"


def test_it_learns_through_the_command_and_its_bundle_predicts_the_same(ball_cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    few = ["iterations=60", "rate=3e-3", "samples=6", "validation_people=1", "pictures_every=30", "validate_every=30"]
    options = ["--data", ball_cohort, "--recipe", "mask_weighted_pix2pix", "--out", out, "--threads", 1]
    assert main([*map(str, options), "--progress", "none", "--set", *SMALL, *few]) == 0
    log = Run.open(out).log()
    assert len(log) == 30  # two steps of two visits in an epoch
    assert log[-1]["validation_mae_brain"] < 0.5  # T2w as it is: 1.0
    assert log[-1]["l1"] < 0.5 * log[0]["l1"]
    bundle = Bundle.open(out / "bundles" / "last")
    system = MaskWeightedPix2Pix(Run.open(out).recipe)
    system.start_from(bundle)
    volume = visit().inputs
    assert torch.equal(load_system(bundle).predict(volume), system.predict(volume))
    with pytest.raises(BadInput, match="another network"):
        build("generator.blocks=2").start_from(bundle)


@pytest.fixture(scope="module")
def without_t1w(ball_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort that has T2w, FLAIR, brain and lesion masks, and nothing else."""
    names = ("t2w", "flair", "brain", "lesions")
    rows = [["participant_id", "session", *names]]
    rows += [[v.person, v.visit, *(str(v.files[name]) for name in names)] for v in Cohort.read(ball_cohort)]
    path = tmp_path_factory.mktemp("without_t1w") / "cohort.csv"
    path.write_text("\n".join(",".join(row) for row in rows), encoding="utf-8")
    return path


def test_people_without_t1w_are_learnt_from_measured_and_given_a_flair(without_t1w: Path, tmp_path: Path) -> None:
    out, few = tmp_path / "folds", ["--set", *SMALL, "iterations=2", "validation_people=1", "pictures_every=0"]
    compared = [
        "--recipe",
        "mask_weighted_pix2pix_improved",
        "--compare",
        "mask_weighted_pix2pix_linear",
        "--folds",
        "3",
    ]
    wanted = ["--data", str(without_t1w), "--out", str(out), "--fold", "1", "--report", "--threads", "1"]
    assert crossvalidate([*wanted, *compared, "--progress", "none", *few]) == 0
    assert "SSIM in the lesion" in (out / "report.html").read_text(encoding="utf-8")
    model = out / "mask_weighted_pix2pix_improved" / "fold-1" / "run" / "bundles" / "best"
    visit = Cohort.read(without_t1w, ["t2w"]).visits[0]
    given = ["--task", "flair", "--t2", str(visit.files["t2w"]), "--brain-mask", str(visit.files["brain"])]
    assert synthesize([*given, "--model", str(model), "--progress", "none", "--out", str(tmp_path / "result")]) == 0
    made, brain = read_volume(tmp_path / "result" / "flair.nii.gz"), read_volume(visit.files["brain"])
    assert np.allclose(made.affine, brain.affine)
    assert (made.data[brain.data < 0.5] == 0).all()
    assert np.ptp(made.data[brain.data > 0.5]) > 0

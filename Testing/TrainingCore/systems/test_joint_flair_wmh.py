"""FLAIR and hyperintensities from T1w (Orbes-Arteaga et al. 2018) and its comparators."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from TrainingCore.data.bundle import Bundle
from TrainingCore.data.recipe import load_recipe
from TrainingCore.data.run import Run
from TrainingCore.networks.unet2d import UNet2D
from TrainingCore.runtime.errors import BadInput
from TrainingCore.systems.checks import check_recipe
from TrainingCore.systems.joint_flair_wmh import JointFlairWMH, cross_entropy
from TrainingCore.systems.loading import load_system
from TrainingCore.systems.parts import parameters
from TrainingCore.systems.samples import Sample
from TrainingCore.systems.slices import axial
from TrainingCore.systems.training_progress import TrainingProgress
from TrainingCore.train import main

SMALL = ["size=32", "field_of_view=192.0", "widths=[8, 12, 16]", "rate=3e-3", "slices_per_visit=6", "visits_per_step=1"]
EARLY, LATE = TrainingProgress(0, 10, 0.0), TrainingProgress(6, 10, 0.6)
BACKGROUND = -4.0
pytestmark = pytest.mark.usefixtures("one_thread")


def visit(seed: int = 0, size: int = 24) -> Sample:
    """T1w and FLAIR of a ball of brain with bright-in-FLAIR, dark-in-T1w lesions, mean 0 and SD of about 1."""
    generator = torch.Generator().manual_seed(seed)
    line = torch.arange(size) - (size - 1) / 2
    brain = ((line[:, None, None] ** 2 + line[:, None] ** 2 + line**2).sqrt() < 0.42 * size).float()[None, None]
    lesions = torch.zeros_like(brain)
    lesions[..., 8:12, 9:13, 9:14] = 1
    noise = 0.2 * torch.randn(2, 1, size, size, size, generator=generator)
    t1w = torch.where(brain > 0, 0.5 * line.sign()[:, None, None] - 3 * lesions + noise[0], BACKGROUND)
    flair = torch.where(brain > 0, -0.5 * line.sign()[:, None, None] + 3 * lesions + noise[1], BACKGROUND)
    return Sample(t1w, flair, {"brain": brain, "lesions": lesions})


def system(mode: str = "joint", *changes: str) -> JointFlairWMH:
    extra = ["pictures_every=0"] if mode == "unimodal" else []
    recipe = load_recipe("joint_flair_wmh", [*SMALL, f"mode={mode}", *extra, *changes])
    check_recipe(recipe)
    return JointFlairWMH(recipe)


def weights(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.named_parameters()}


def changed(network: torch.nn.Module, before: dict[str, torch.Tensor]) -> bool:
    return any(not torch.equal(value, before[name]) for name, value in network.named_parameters())


def networks(system: JointFlairWMH) -> dict[str, torch.nn.Module]:
    return {name: learner.module for name, learner in system.learners.items()}


def test_the_threshold_is_chosen_by_the_dice_of_the_validation_people_and_kept_in_the_bundle(
    ball_cohort: Path, tmp_path: Path
):
    from TrainingCore.evaluation.segmentation import HYPERINTENSE, lesion_threshold

    joint = system()
    entry = {f"validation_dice_at_{one:.2f}": value for one, value in ((0.2, 0.4), (0.6, 0.5), (0.45, 0.5))}
    assert joint.chosen_on_validation(entry) == {"lesion_threshold": 0.45}  # of two, the one nearer to 0.5
    assert joint.chosen_on_validation({}) == {}
    settings = ["--recipe", "joint_flair_wmh", "--set", *SMALL, "epochs=2", "validation_people=1", "pictures_every=0"]
    options = ["--data", str(ball_cohort), "--out", str(tmp_path / "run"), "--threads", "1", "--progress", "none"]
    assert main([*options, *settings]) == 0
    run = Run.open(tmp_path / "run")
    last = Bundle.open(run.bundle_path("last")).description
    assert last.get("lesion_threshold") == joint.chosen_on_validation(run.log()[-1]).get("lesion_threshold")
    assert not any("_at_" in key for key in last["performance"])
    assert lesion_threshold({"lesion_threshold": 0.45}) == 0.45
    assert lesion_threshold({}) == HYPERINTENSE


def test_dice_at_the_thresholds_is_that_of_the_masks():
    joint, sample = system(), visit()
    measures, probability = joint.validation_step(sample), joint.segment(sample.inputs)
    truth = (sample.lesions * sample.brain) > 0.5
    for threshold, key in ((0.5, "dice"), (0.1, "dice_at_0.10"), (0.5, "dice_at_0.50")):
        found = (probability > threshold) & (sample.brain > 0.5)
        expected = 2 * int((found & truth).sum()) / (int(found.sum()) + int(truth.sum()))
        assert measures[key] == pytest.approx(expected)


# -- the network ------------------------------------------------------------------------------------------------------


def test_the_u_net_has_the_published_levels_and_kernels():
    network = UNet2D(2)
    assert [level[0].out_channels for level in network.encoders] == [64, 96, 128, 256, 512]
    assert [level[0].kernel_size[0] for level in network.encoders] == [5, 3, 3, 3, 3]
    assert all(isinstance(level[1], torch.nn.BatchNorm2d) for level in network.encoders)
    kernels = [2 * 25 * 64 + 25 * 64 * 64]  # by hand: convolutions without bias, a scale and a shift per channel
    widths = (64, 96, 128, 256, 512)
    kernels += [9 * (a * b + b * b) for a, b in pairwise(widths)]
    kernels += [9 * ((deep + skip) * skip + skip * skip) for deep, skip in zip(widths[:0:-1], widths[-2::-1])]
    norms = 4 * sum(widths) + 4 * sum(widths[:-1])
    assert parameters(network) == sum(kernels) + norms + 65


def test_any_slice_size_passes_and_comes_back_at_its_size():
    assert UNet2D(1, 1, (4, 8, 8)).eval()(torch.zeros(2, 1, 21, 34)).shape == (2, 1, 21, 34)


# -- training ---------------------------------------------------------------------------------------------------------


def test_a_step_of_the_papers_recipe_sees_the_30_slices_of_li_et_al_from_many_people():
    recipe = load_recipe("joint_flair_wmh")
    assert recipe["data"]["visits_per_step"] * recipe["slices_per_visit"] == 30
    assert recipe["slices_per_visit"] <= 3


def test_the_joint_step_moves_both_networks_and_its_losses_are_those_of_the_paper():
    joint, sample = system(), visit()
    before = {name: weights(network) for name, network in networks(joint).items()}
    losses = joint.training_step([sample], EARLY, np.random.default_rng(0))
    assert all(changed(networks(joint)[name], before[name]) for name in before)
    assert losses["loss_G"] > losses["l2"]  # the cross-entropy is in it
    assert losses["cross_entropy"] < 1.0


def test_the_classifier_answers_1_percent_before_it_has_learnt():
    probability = system().segment(visit().inputs)
    inside = visit().brain > 0
    assert float(probability[inside].median()) < 0.05
    assert float(probability[~inside].max()) == 0


def test_the_cross_entropy_reaches_the_generator_through_the_classifier_which_stands_still():
    joint, sample = system(), visit()
    slices = {name: axial(getattr(sample, name), range(10, 14)) for name in ("inputs", "lesions", "brain")}
    flair = joint._flair(joint.generator, slices["inputs"])
    seen = torch.cat([slices["inputs"], flair], dim=1)
    cross_entropy(joint.classifier.frozen(seen), slices).backward()
    assert any(float(p.grad.abs().max()) > 0 for p in networks(joint)["generator"].parameters())
    assert all(p.grad is None for p in networks(joint)["classifier"].parameters())
    networks(joint)["generator"].zero_grad(set_to_none=True)
    cross_entropy(joint.classifier(seen.detach()), slices).backward()
    assert all(p.grad is None for p in networks(joint)["generator"].parameters())
    assert any(float(p.grad.abs().max()) > 0 for p in networks(joint)["classifier"].parameters())


def test_offline_the_generator_learns_first_and_then_stands_still():
    offline, sample = system("offline"), visit()
    rng = np.random.default_rng(0)
    before = {name: weights(network) for name, network in networks(offline).items()}
    first = offline.training_step([sample], EARLY, rng)
    assert changed(networks(offline)["generator"], before["generator"])
    assert not changed(networks(offline)["classifier"], before["classifier"])
    assert first["loss_G"] == first["l2"]
    before = {
        name: {k: v.clone() for k, v in network.state_dict().items()} for name, network in networks(offline).items()
    }
    second = offline.training_step([sample], LATE, rng)
    assert all(
        torch.equal(value, before["generator"][name])
        for name, value in networks(offline)["generator"].state_dict().items()
    )
    assert changed(networks(offline)["classifier"], before["classifier"])
    assert set(second) == {"cross_entropy"}


def test_the_best_epoch_of_an_offline_run_is_one_in_which_the_classifier_has_learnt():
    offline, sample, rng = system("offline"), visit(), np.random.default_rng(0)
    for _ in range(30):
        offline.training_step([sample], EARLY, rng)
    before = offline.validation_step(sample)
    with torch.no_grad():
        networks(offline)["generator"].last.bias += 1.0  # a FLAIR that got worse after its best epoch
    for _ in range(60):
        offline.training_step([sample], LATE, rng)
    after = offline.validation_step(sample)
    assert after["dice"] > 0.7 > 0.1 > before["dice"]
    first, last = (sum(measures[key] for key in offline.score) for measures in (before, after))
    assert last < first
    assert sum(after[key] for key in ("l2", "cross_entropy")) > sum(before[key] for key in ("l2", "cross_entropy"))


@pytest.mark.parametrize(("mode", "shares"), [("joint", [1.0, 0.75, 0.5, 0.25]), ("offline", [1.0, 0.5, 1.0, 0.5])])
def test_rates_fall_along_half_a_cosine_over_the_steps_that_a_network_takes(mode: str, shares: list[float]):
    falling, constant = system(mode, "decay=cosine"), system(mode)
    for share, progress in zip(shares, (0.0, 1 / 3, 0.5, 2 / 3) if mode == "joint" else (0.0, 0.25, 0.5, 0.75)):
        for one, expected in ((falling, share), (constant, 1.0)):
            one.training_step([visit()], TrainingProgress(0, 10, progress), np.random.default_rng(0))
            rates = [learner.optimizer.param_groups[0]["lr"] for learner in one.learners.values()]
            assert rates == pytest.approx([3e-3 * expected] * 2)


def test_unimodal_has_no_generator_and_says_so():
    unimodal = system("unimodal")
    assert set(networks(unimodal)) == {"classifier"}
    with pytest.raises(BadInput, match="Use `segment`"):
        unimodal.predict(visit().inputs)
    assert set(unimodal.training_step([visit()], EARLY, np.random.default_rng(0))) == {"cross_entropy"}
    with pytest.raises(BadInput, match="makes no FLAIR to draw"):
        check_recipe(load_recipe("joint_flair_wmh", ["mode=unimodal"]))


@pytest.mark.parametrize("mode", ["joint", "unimodal"])
def test_it_learns_to_find_lesions_and_joint_to_paint_them(mode: str):
    trained, sample = system(mode), visit()
    start = trained.validation_step(sample)
    rng = np.random.default_rng(0)
    for _ in range(60):
        trained.training_step([sample], EARLY, rng)
    end = trained.validation_step(sample)
    assert end["dice"] > 0.7
    assert end["cross_entropy"] < 0.5 * start["cross_entropy"]
    if mode == "joint":
        assert end["l2"] < 0.3 * start["l2"]
        flair = trained.predict(sample.inputs)
        assert float(flair[sample.lesions > 0].mean()) > 1 > float(flair[(sample.brain - sample.lesions) > 0].mean())
        assert float((flair[sample.brain == 0] - BACKGROUND).abs().max()) == 0


def test_slices_without_brain_are_background_and_a_visit_without_lesions_has_no_dice():
    joint, sample = system(), visit()
    assert float(sample.brain[..., 0].sum()) == 0
    assert float((joint.predict(sample.inputs)[..., 0] - BACKGROUND).abs().max()) == 0
    healthy = Sample(sample.inputs, sample.target, {"brain": sample.brain, "lesions": torch.zeros_like(sample.brain)})
    assert math.isnan(joint.validation_step(healthy)["dice"])
    assert math.isfinite(joint.training_step([healthy], EARLY, np.random.default_rng(0))["cross_entropy"])


# -- as a user runs it ------------------------------------------------------------------------------------------------


def run(out: Path, cohort: Path, *options: str) -> Path:
    assert main(["--data", str(cohort), "--out", str(out), "--threads", "1", "--progress", "none", *options]) == 0
    return out


def test_trained_saved_and_loaded_again_it_predicts_and_segments_the_same(ball_cohort: Path, tmp_path: Path):
    settings = ["validation_people=1", "iterations=8", "validate_every=1", "pictures_every=2"]
    out = run(tmp_path / "joint", ball_cohort, "--recipe", "joint_flair_wmh", "--set", *SMALL, *settings)
    log = Run.open(out).log()
    assert len(log) == 2  # four visits in an epoch, one to a step
    assert log[-1]["validation_score"] == log[-1]["validation_cross_entropy"]
    assert (out / "pictures" / "epoch-0002.png").is_file()
    bundle = Bundle.open(out / "bundles" / "last")
    assert bundle.description["output"] == "flair"
    loaded, inputs = load_system(bundle, "cpu"), visit().inputs
    fresh = JointFlairWMH(Run.open(out).recipe)
    fresh.start_from(bundle)
    assert torch.equal(loaded.predict(inputs), fresh.predict(inputs))
    assert torch.equal(loaded.segment(inputs), fresh.segment(inputs))


def test_state_of_an_offline_run_in_its_first_half_goes_on_to_the_same_weights():
    one, other, sample = system("offline"), system("offline", "seed=3"), visit()
    one.training_step([sample], EARLY, np.random.default_rng(0))
    tensors, facts = one.state()
    other.load_state({name: tensor.clone() for name, tensor in tensors.items()}, facts)
    for each in (one, other):
        each.training_step([sample], EARLY, np.random.default_rng(1))
        each.training_step([sample], LATE, np.random.default_rng(2))
    assert all(torch.equal(value, other.weights()[name]) for name, value in one.weights().items())


@pytest.mark.parametrize("name", ["joint_flair_wmh_unimodal", "joint_flair_wmh_offline"])
def test_comparators_train_from_their_recipes_to_bundles_that_segment(name: str, ball_cohort: Path, tmp_path: Path):
    settings = ["validation_people=1", "iterations=2", "validate_every=1", "pictures_every=0"]
    out = run(tmp_path / name, ball_cohort, "--recipe", name, "--set", *SMALL, *settings)
    loaded = load_system(Bundle.open(out / "bundles" / "best"), "cpu")
    assert loaded.mode == name.split("_")[-1]
    assert loaded.segment(visit().inputs).shape == visit().target.shape


def test_offline_gives_each_network_the_steps_of_the_joint_training(ball_cohort: Path, tmp_path: Path):
    settings = ["validation_people=1", "iterations=4", "validate_every=9", "pictures_every=0"]
    logs = {}
    for mode in ("joint", "offline"):
        name = "joint_flair_wmh" if mode == "joint" else "joint_flair_wmh_offline"
        logs[mode] = Run.open(run(tmp_path / mode, ball_cohort, "--recipe", name, "--set", *SMALL, *settings)).log()
    epochs = {network: [sum(key in entry for entry in log) for log in logs.values()]
              for network, key in (("G", "l2"), ("C", "cross_entropy"))}  # fmt: skip
    assert epochs["G"] == epochs["C"] == [len(logs["joint"])] * 2


def test_a_bundle_of_another_mode_is_refused_in_one_sentence(ball_cohort: Path, tmp_path: Path):
    out = run(
        tmp_path / "u",
        ball_cohort,
        "--recipe",
        "joint_flair_wmh_unimodal",
        "--set",
        *SMALL,
        "iterations=1",
        "validation_people=0",
    )
    with pytest.raises(BadInput, match="another network"):
        system().start_from(Bundle.open(out / "bundles" / "last"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("mode=both", "mode must be one of"),
        ("target=dvr", "data.target must be an MRI contrast"),
        ("slices_per_visit=0", "slices_per_visit"),
        ("widths=[8]", "at least two"),
        ("first_kernel=4", "odd"),
        ("rate=-1.0", "learning rates"),
        ("decay=linear", "decay must be"),
    ],
)
def test_values_that_cannot_work_are_refused_before_anything_begins(change: str, words: str):
    with pytest.raises(BadInput, match=words):
        check_recipe(load_recipe("joint_flair_wmh", [change]))

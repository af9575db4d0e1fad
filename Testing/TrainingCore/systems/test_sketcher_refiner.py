"""The sketcher-refiner of Wei et al. 2018 and its comparators."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from TrainingCore.data.bundle import Bundle
from TrainingCore.data.recipe import load_recipe
from TrainingCore.data.run import Run
from TrainingCore.evaluate import main as evaluate
from TrainingCore.networks.grid_discriminator import GridDiscriminator
from TrainingCore.networks.linear_path import WithLinearPath
from TrainingCore.networks.two_layer import TwoLayerNetwork
from TrainingCore.networks.unet3d import UNet3D
from TrainingCore.runtime.errors import BadInput
from TrainingCore.systems.checks import check_recipe
from TrainingCore.systems.conditional_gan import MEASURED, _summed
from TrainingCore.systems.loading import load_system
from TrainingCore.systems.parts import parameters
from TrainingCore.systems.patches import grid_patches
from TrainingCore.systems.samples import Sample, joined
from TrainingCore.systems.sketcher_refiner import SketcherRefiner, brain_l1, region_weighted_error
from TrainingCore.systems.training_progress import TrainingProgress
from TrainingCore.systems.two_layer_dnn import TwoLayerDNN
from TrainingCore.train import main

SMALL = ["size=32", "width=4", "levels=3", "discriminator.widths=[4, 8, 8, 8]", "validation_people=1"]
FAST = ["sketcher_rate=5e-3", "refiner_rate=5e-3", "dropout=0.0", "pictures_every=0"]
START = TrainingProgress(0, 10, 0.0)
pytestmark = pytest.mark.usefixtures("one_thread")


def visit(seed: int = 0, lesions: bool = True, size: int = 32) -> Sample:
    """A ball of white matter in a ball of grey, with one lesion or none, inputs in [-1, 1] and -1 outside."""
    generator = torch.Generator().manual_seed(seed)
    line = torch.arange(size) - (size - 1) / 2
    radius = (line[:, None, None] ** 2 + line[:, None] ** 2 + line**2).sqrt()[None, None] / size
    brain, white, lesion = (radius < 0.4).float(), (radius < 0.26).float(), torch.zeros(1, 1, size, size, size)
    if lesions:
        lesion[..., 14:19, 14:19, 14:18] = 1
    dvr = (1.0 + 0.2 * white - 0.3 * lesion) * brain
    noise = 0.05 * torch.randn(1, 4, size, size, size, generator=generator)
    inputs = torch.where(brain > 0, white - 0.5 - lesion * torch.tensor([0.4, 0.3, -0.4, -0.2])[:, None, None, None], 0)
    return Sample(
        inputs=torch.where(brain > 0, inputs + noise, -1.0),
        target=dvr,
        masks={"brain": brain, "lesions": lesion, "white_matter": white},
    )


def recipe(*changes: str, name: str = "sketcher_refiner") -> dict[str, Any]:
    found = load_recipe(name, [*SMALL, *FAST, *changes])
    check_recipe(found)
    return found


# -- the pieces -------------------------------------------------------------------------------------------------------


def test_the_refiners_l1_is_the_sum_of_the_means_over_each_region_by_hand():
    sample = visit()
    error = torch.zeros_like(sample.target)
    lesions, nawm = sample.lesions > 0, sample.nawm > 0
    other = (sample.brain > 0) & ~lesions & ~nawm
    error[lesions], error[nawm], error[other], error[sample.brain == 0] = 0.5, 0.25, 0.125, 99.0
    assert float(region_weighted_error(sample.target + error, sample)) == pytest.approx(0.5 + 0.25 + 0.125, rel=1e-5)
    counts = [int(region.sum()) for region in (lesions, nawm, other)]
    mean = (0.5 * counts[0] + 0.25 * counts[1] + 0.125 * counts[2]) / sum(counts)
    assert float(brain_l1(sample.target + error, sample)) == pytest.approx(mean, rel=1e-5)


def test_a_control_without_lesions_has_two_terms_and_a_gradient():
    sample = visit(lesions=False)
    fake = (sample.target + 0.5).requires_grad_()
    loss = region_weighted_error(fake, sample)
    loss.backward()
    assert loss.item() == pytest.approx(1.0, rel=1e-5)
    assert bool(torch.isfinite(fake.grad).all())


def test_the_grid_cuts_a_volume_into_patches_that_tile_it_once():
    volume = torch.arange(2 * 3 * 32 * 16 * 48, dtype=torch.float32).reshape(2, 3, 32, 16, 48)
    patches = grid_patches(volume, (16, 16, 16))
    assert patches.shape == (2 * 6, 3, 16, 16, 16)
    assert torch.equal(patches[4], volume[0, :, 16:32, :, 16:32])
    assert torch.equal(patches[6], volume[1, :, :16, :, :16])
    assert torch.equal(patches.flatten().sort().values, volume.flatten().sort().values)
    assert grid_patches(torch.zeros(1, 1, 33, 16, 20), (16, 16, 16)).shape == (6, 1, 16, 16, 16)


def test_patches_of_unequal_edges_pass_the_discriminator_and_odd_ones_are_refused():
    patches = torch.randn(5, 2, 16, 32, 48)
    network = GridDiscriminator(2, (16, 32, 48), (4, 4, 4, 4))
    assert network(patches).shape == (5, 2)
    assert len(network.stages) == 4
    with pytest.raises(ValueError, match="16 divides"):
        GridDiscriminator(2, (16, 16, 24))


def test_the_discriminators_loss_is_the_sum_over_the_patches_that_hold_brain():
    system = SketcherRefiner(recipe())
    gan, sample = system.sketcher, visit()
    judged = gan._patches_with_brain(sample)
    cut = [sample.brain[0, 0, i : i + 16, j : j + 16, k : k + 16] for i in (0, 16) for j in (0, 16) for k in (0, 16)]
    assert judged.tolist() == [bool(patch.any()) for patch in cut]
    logits = gan.discriminator.infer(gan._patches(sample, sample.target, judged))
    expected = -sum(math.log(p) for p in torch.softmax(logits, dim=1)[:, 1].tolist())
    assert float(_summed(logits, MEASURED)) == pytest.approx(expected, rel=1e-4)


def test_leaky_slope_and_dropout_reach_the_generator_on_the_fast_path_and_beside_it():
    torch.manual_seed(0)
    network, x = UNet3D(2, 1, 4, 3, slope=0.2, dropout=0.5), torch.randn(1, 2, 16, 16, 16)
    assert not torch.equal(network(x), network(x))
    network.eval()
    fast, network.fast = network(x), False
    assert torch.allclose(fast, network(x), atol=1e-5)
    leaky, straight = UNet3D(2, 1, 4, 3, slope=0.2), UNet3D(2, 1, 4, 3)
    straight.load_state_dict(leaky.state_dict())
    assert not torch.allclose(leaky(x), straight(x))


def test_a_linear_path_adds_a_weighted_sum_of_each_voxels_inputs_and_nothing_before_it_has_learnt():
    network, x = UNet3D(2, 1, 4, 2).eval(), torch.randn(1, 2, 8, 8, 8)
    beside = WithLinearPath(network, 2).eval()
    assert torch.equal(beside(x), network(x))
    with torch.no_grad():
        beside.path.weight[:] = torch.tensor([2.0, -3.0]).view(1, 2, 1, 1, 1)
    assert torch.allclose(beside(x), network(x) + 2 * x[:, :1] - 3 * x[:, 1:], atol=1e-5)


def test_with_a_linear_path_both_stages_learn_it_and_a_bundle_predicts_as_it_was_trained(tmp_path: Path):
    system, plain, sample = SketcherRefiner(recipe("linear_path=true")), SketcherRefiner(recipe()), visit()
    rng = np.random.default_rng(0)
    for _ in range(3):
        system.training_step([sample], START, rng)
    for gan, channels in ((system.sketcher, 4), (system.refiner, 5)):
        weights = gan.generator.module.path.weight.detach()
        assert weights.shape[:2] == (1, channels)
        assert float(weights.abs().min()) > 0
    again = SketcherRefiner(recipe("linear_path=true", "seed=1"))
    again.load_state(*system.state())
    assert torch.equal(again.predict(sample.inputs), system.predict(sample.inputs))
    assert system.architecture()["generator"]["linear_path"] is True
    assert plain.architecture()["generator"]["linear_path"] is False


def test_the_two_layer_network_has_the_papers_count_and_answers_as_it_does_patch_by_patch():
    assert parameters(TwoLayerNetwork(1)) == 37_761
    torch.manual_seed(1)
    network, x = TwoLayerNetwork(4), torch.randn(1, 4, 17, 17, 17)
    whole = network(x)
    patch = x[..., 1:16, 1:16, 1:16]  # 15^3 voxels around voxel 8
    middle = network.last(torch.sigmoid(network.second(torch.sigmoid(network.first(patch)))))
    assert middle.shape[2:] == (3, 3, 3)
    assert torch.allclose(whole[..., 7:10, 7:10, 7:10], middle, atol=1e-5)


# -- training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lesions", [True, False])
def test_a_few_steps_lower_both_losses_with_and_without_lesions(lesions: bool):
    system, sample = SketcherRefiner(recipe()), visit(lesions=lesions)
    rng = np.random.default_rng(0)
    losses = [system.training_step([sample], START, rng) for _ in range(12)]
    assert losses[-1]["sketcher_loss"] < 0.8 * losses[0]["sketcher_loss"]
    assert losses[-1]["refiner_loss"] < 0.8 * losses[0]["refiner_loss"]
    assert set(losses[0]) == {
        f"{stage}_{key}" for stage in ("sketcher", "refiner") for key in ("loss", "D", "adversarial", "gradient_ratio")
    }


def test_the_refiners_step_leaves_the_sketcher_alone_and_its_own_discriminator_only_judges():
    system, sample = SketcherRefiner(recipe()), visit()
    before = {k: v.clone() for k, v in system.sketcher.generator.module.state_dict().items()}
    judge = {k: v.clone() for k, v in system.sketcher.discriminator.module.state_dict().items()}
    system.refiner.step(system._with_sketch(sample.inputs, system.sketch(sample.inputs)), sample, region_weighted_error)
    assert all(torch.equal(v, before[k]) for k, v in system.sketcher.generator.module.state_dict().items())
    assert all(torch.equal(v, judge[k]) for k, v in system.sketcher.discriminator.module.state_dict().items())


def test_the_refiner_sees_mri_and_a_sketch_that_is_0_outside_the_brain():
    system, sample = SketcherRefiner(recipe()), visit()
    given = system._with_sketch(sample.inputs, system.sketch(sample.inputs)).detach()
    assert torch.equal(given[:, :4], sample.inputs)
    assert float(given[:, 4:][sample.brain == 0].abs().max()) == 0
    assert float(given[:, 4:].abs().max()) > 0


def test_each_visits_regions_count_for_themselves():
    few, many = visit(0), visit(1)
    fake = torch.cat([few.target + 1.0, many.target])
    many.masks["lesions"] = many.brain.clone()
    both = region_weighted_error(fake, joined([few, many]))
    alone = [region_weighted_error(part, sample) for part, sample in zip(fake.split(1), (few, many))]
    assert both.item() == pytest.approx(sum(alone).item() / 2)
    assert brain_l1(fake, joined([few, many])).item() == pytest.approx(0.5)


def test_two_visits_of_which_one_is_a_control_make_one_batch():
    batch = [visit(0), visit(1, lesions=False)]
    del batch[1].masks["lesions"]
    sample = joined(batch)
    assert sample.inputs.shape[0] == 2
    assert float(sample.lesions[1].sum()) == 0
    assert float(sample.lesions[0].sum()) > 0
    losses = SketcherRefiner(recipe()).training_step(batch, START, np.random.default_rng(0))
    assert all(math.isfinite(value) for value in losses.values())


def test_a_discriminator_learns_to_tell_a_constant_map_from_a_measured_one():
    system, sample = SketcherRefiner(recipe()), visit()
    gan, fake = system.sketcher, 1.1 * sample.brain
    judged = gan._patches_with_brain(sample)
    losses = [gan._discriminator_step(gan.discriminator, sample, fake, judged) for _ in range(34)]
    assert losses[-1] < 0.3 * math.log(2)


def test_the_l1_only_twin_has_no_discriminator_and_the_single_gan_no_refiner():
    twin = SketcherRefiner(recipe(name="sketcher_refiner_l1_only"))
    assert twin.sketcher.discriminator is None
    assert set(twin.training_step([visit()], START, np.random.default_rng(0))) == {"sketcher_loss", "refiner_loss"}
    single = SketcherRefiner(recipe(name="sketcher_only"))
    assert single.refiner is None
    assert torch.equal(single.predict(visit().inputs), single.sketch(visit().inputs))


def test_rates_stay_or_fall_along_half_a_cosine_each_stage_from_its_own():
    rates = ["sketcher_rate=4e-3", "refiner_rate=2e-3"]
    for decay, factor in (("none", 1.0), ("cosine", 0.25)):
        system = SketcherRefiner(recipe(*rates, f"decay={decay}"))
        system.training_step([visit()], TrainingProgress(6, 9, 2 / 3), np.random.default_rng(0))
        found = {name: one.optimizer.param_groups[0]["lr"] for name, one in system.learners.items()}
        expected = {
            f"{stage} {kind}": rate * factor for stage, rate in (("sketcher", 4e-3), ("refiner", 2e-3)) for kind in "GD"
        }
        assert found == pytest.approx(expected)


def test_the_two_layer_network_learns_the_level_of_the_tissues():
    system, sample = TwoLayerDNN(load_recipe("two_layer_dnn", ["size=32", "rate=2e-3"])), visit(size=24)
    rng = np.random.default_rng(0)
    losses = [system.training_step([sample], START, rng) for _ in range(40)]
    assert losses[-1]["l2"] < 0.3 * losses[0]["l2"]
    assert system.validation_step(sample)["l1"] < 0.15


# -- as a user runs it ------------------------------------------------------------------------------------------------


def run(out: Path, cohort: Path, *options: str) -> Path:
    code = main(["--data", str(cohort), "--out", str(out), "--threads", "1", "--progress", "none", *options])
    assert code == 0
    return out


def test_a_resumed_run_ends_with_the_same_bits_and_its_bundle_predicts_the_same(ball_cohort: Path, tmp_path: Path):
    settings = ["--recipe", "sketcher_refiner", "--set", *SMALL, *FAST, "dropout=0.5"]
    whole = run(tmp_path / "whole", ball_cohort, *settings, "epochs=2")
    torch.manual_seed(5)  # a resumed process has another random state
    system = SketcherRefiner(Run.open(whole).recipe)
    half = tmp_path / "half"

    class Killed(Exception):
        pass

    steps = 0
    real = SketcherRefiner.training_step

    def until_killed(self: Any, *arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 6:
            raise Killed
        return real(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SketcherRefiner, "training_step", until_killed)
        with pytest.raises(Killed):
            run(half, ball_cohort, *settings, "epochs=2")
    run(half, ball_cohort, "--resume")
    bundles = [Bundle.open(path / "bundles" / "last") for path in (whole, half)]
    assert bundles[0].sha256 == bundles[1].sha256
    loaded = load_system(bundles[0], "cpu")
    system.start_from(bundles[0])
    inputs = visit().inputs
    assert torch.equal(loaded.predict(inputs), system.predict(inputs))
    assert loaded.sketcher.discriminator is None


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("sketcher_only", [*SMALL, *FAST]),
        ("sketcher_refiner_improved", [*SMALL, *FAST]),
        ("two_layer_dnn", ["size=32", "pictures_every=1", "validation_people=1"]),
        ("sketcher_refiner_linear", SMALL[:1]),
    ],
)
def test_every_comparator_trains_from_its_recipe_to_a_bundle(
    name: str, settings: list[str], ball_cohort: Path, tmp_path: Path
):
    out = run(tmp_path / name, ball_cohort, "--recipe", name, "--set", *settings, "epochs=1", "validation_people=1")
    bundle = Bundle.open(out / "bundles" / "best")
    assert bundle.description["inputs"] == ["mtr", "fa", "rd", "ad"]
    assert load_system(bundle, "cpu").predict(visit().inputs).shape == (1, 1, 32, 32, 32)


def test_a_model_of_quantitative_maps_is_evaluated_with_its_spread_where_nobody_has_a_flair(
    ball_cohort: Path, tmp_path: Path
):
    cohort = tmp_path / "cohort"
    shutil.copytree(ball_cohort, cohort)
    for path in cohort.rglob("*_FLAIR.nii.gz"):
        path.unlink()
    settings = ["--recipe", "sketcher_refiner_linear", "--set", SMALL[0], "validation_people=1", "pictures_every=0"]
    out = run(tmp_path / "run", cohort, *settings)
    results = tmp_path / "results"
    options = ["--uncertainty", "--threads", "1", "--progress", "none"]
    assert evaluate(["--run", str(out), "--data", str(cohort), "--out", str(results), *options]) == 0
    assert "MTR, FA, RD, AD, measured DVR" in (results / "report.html").read_text(encoding="utf-8")
    assert json.loads((results / "summary.json").read_text(encoding="utf-8"))["models"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("stages=3", "stages must be 1"),
        ("discriminator.patch=[16, 16, 24]", "multiple of 16"),
        ("discriminator.patch=[16, 16]", "three whole numbers"),
        ("dropout=1.0", "dropout"),
        ("slope=-0.1", "slope"),
        ("sketcher_rate=0.0", "learning rates"),
        ("lambda_refiner=-1.0", "losses must not be negative"),
        ("decay=linear", "decay must be none or cosine"),
        ("precision=float16", "precision"),
        ("adversarial=0 lambda_sketcher=0", "the sketcher learns nothing"),
        ("adversarial=0 lambda_refiner=0", "the refiner learns nothing"),
    ],
)
def test_values_that_cannot_work_are_refused_before_anything_begins(change: str, words: str):
    with pytest.raises(BadInput, match=words):
        check_recipe(load_recipe("sketcher_refiner", change.split() if "lambda" in change else [change]))


def test_the_recipe_holds_the_papers_own_numbers():
    found = load_recipe("sketcher_refiner")
    assert found["optimizer"]["sketcher_rate"] == 1e-4
    assert found["optimizer"]["refiner_rate"] == 5e-5
    assert (found["generator"]["slope"], found["generator"]["dropout"]) == (0.2, 0.5)
    assert not any(found["augmentation"].values())
    assert F.leaky_relu(torch.tensor(-1.0), found["generator"]["slope"]) == pytest.approx(-0.2)

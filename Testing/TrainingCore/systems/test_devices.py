"""What must hold on a CPU and on a GPU alike: steps, precision, memory formats, checkpoints that change device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from TrainingCore.data.case import Case
from TrainingCore.data.cohort import Cohort
from TrainingCore.data.recipe import load_recipe
from TrainingCore.data.run import Run
from TrainingCore.networks.unet3d import UNet3D
from TrainingCore.runtime.errors import BadInput
from TrainingCore.systems import system_class
from TrainingCore.systems.checks import check_recipe
from TrainingCore.systems.learner import Learner
from TrainingCore.systems.parts import infer, use_memory_format
from TrainingCore.systems.samples import Sample, make_sample
from TrainingCore.systems.training_progress import TrainingProgress
from TrainingCore.training.session import new_split, split_as_before, train_split
from TrainingCore.training.state import load_state, save_state

SMALL = ["size=32", "generator.width=4", "generator.levels=2", "discriminator.widths=[4, 4, 8, 8]"]
SYSTEMS = {
    "curricular": [*SMALL, "patches=4", "ema=0.9"],
    "sketcher_refiner": SMALL,
    "mask_weighted_pix2pix": ["size=32", "generator.width=4", "blocks=1", "discriminator.width=4", "layers=2"],
    "joint_flair_wmh": ["size=32", "networks.widths=[4, 8]", "slices_per_visit=1"],
    "contrast_enhancement": ["size=32", "network.width=4", "network.levels=2"],
}
MOMENT = TrainingProgress(0, 4, 0.0)
pytestmark = pytest.mark.usefixtures("one_thread")


def case(recipe: dict[str, Any], size: int = 32) -> Case:
    """A cube of brain, with white matter and lesions in it."""
    rng = np.random.default_rng(1)
    shape = (size, size, size)
    masks = {name: np.zeros(shape, bool) for name in ("brain", "white_matter", "lesions")}
    for name, edge in (("brain", 3), ("white_matter", 7)):
        masks[name][edge:-edge, edge:-edge, edge:-edge] = True
    masks["lesions"][9:12, 9:12, 15:18] = True
    names = [*recipe["data"]["inputs"], recipe["data"]["target"]]
    volumes = {name: (rng.random(shape) * masks["brain"]).astype(np.float32) for name in names}
    return Case("P1", "1", volumes | masks, np.eye(4))


def build(name: str, device: str, *changes: str) -> tuple[Any, Sample]:
    recipe = load_recipe(name, [*SYSTEMS[name], *changes])
    check_recipe(recipe)
    system = system_class(recipe["system"])(recipe, device)
    data = recipe["data"]
    return system, make_sample(case(recipe), data["inputs"], data["target"], device)


def step(system: Any, sample: Sample) -> dict[str, float]:
    visits = [sample] * system.recipe["data"]["visits_per_step"]
    losses: dict[str, float] = system.training_step(visits, MOMENT, np.random.default_rng(0))
    return losses


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_learns_and_predicts_in_float32(name: str, device: str) -> None:
    system, sample = build(name, device)
    assert sample.inputs.device == torch.device(device)
    assert np.isfinite(list(step(system, sample).values())).all()
    prediction = system.predict(sample.inputs)
    assert prediction.dtype is torch.float32
    assert prediction.isfinite().all()


def test_a_sample_holds_the_same_numbers_on_every_device(device: str) -> None:
    recipe = load_recipe("curricular", SMALL)
    prepared = case(recipe)
    sample = make_sample(prepared, ["t1w", "flair"], "dvr", device)
    np.testing.assert_array_equal(sample.inputs[0, 1].cpu().numpy(), prepared.volumes["flair"])
    np.testing.assert_array_equal(sample.target[0, 0].cpu().numpy(), prepared.volumes["dvr"])
    assert sample.lesions.sum().item() == 27


def test_bfloat16_trains_and_predicts_nearly_what_float32_does(device: str) -> None:
    exact, sample = build("curricular", device, "precision=float32")
    half, _ = build("curricular", device, "precision=bfloat16")
    assert half.precision is torch.bfloat16
    one, other = step(exact, sample), step(half, sample)
    assert other["l1"] == pytest.approx(one["l1"], rel=0.03)
    assert all(p.dtype is torch.float32 for p in half.generator.module.parameters())  # weights stay whole
    difference = (half.predict(sample.inputs) - exact.predict(sample.inputs)).abs()[sample.brain > 0]
    assert difference.mean().item() < 0.03


def test_a_checkpoint_moves_between_devices(device: str, tmp_path: Path) -> None:
    there, sample = build("curricular", device, "precision=float32")
    step(there, sample)
    save_state(tmp_path / "state.safetensors", *there.state())
    here, own = build("curricular", "cpu", "seed=7", "precision=float32")
    tensors, facts = load_state(tmp_path / "state.safetensors")
    here.load_state(tensors, facts)
    np.testing.assert_allclose(
        here.predict(own.inputs).numpy(),
        there.predict(sample.inputs).cpu().numpy(),
        atol=2e-3 if "cuda" in device else 0,
    )


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("laid_out", [False, True], ids=["as built", "as on a GPU"])
def test_a_resumed_step_is_that_of_an_unbroken_training(name: str, laid_out: bool, tmp_path: Path) -> None:
    """The moments of Adam must have the layout of their weights, which a checkpoint does not keep."""
    unbroken, sample = build(name, "cpu")
    resumed, _ = build(name, "cpu")
    if laid_out:
        for system in (unbroken, resumed):
            for learner in learners_of(system):
                use_memory_format(learner.module, "auto", torch.device("cuda"), torch.bfloat16)
    for _step in range(2):
        step(unbroken, sample)
    tensors, facts = unbroken.state()
    save_state(tmp_path / "state.safetensors", tensors, {"system": facts})
    tensors, kept = load_state(tmp_path / "state.safetensors")
    resumed.load_state(tensors, kept["system"])
    for system in (unbroken, resumed):
        step(system, sample)
    for key, value in unbroken.state()[0].items():
        torch.testing.assert_close(resumed.state()[0][key], value, rtol=0, atol=0, msg=key)


def learners_of(system: Any) -> list[Learner]:
    """The networks of a system with their optimisers."""
    found = [value for value in vars(system).values() if isinstance(value, Learner)]
    inside = [learner for value in vars(system).values() if isinstance(value, dict) for learner in value.values()]
    return found + [learner for learner in inside if isinstance(learner, Learner)]


def test_channels_last_keeps_weights_predictions_and_checkpoints(device: str, tmp_path: Path) -> None:
    """Laid out by hand on the CPU, where the recipe's key changes nothing, to try everything else about it."""
    plain, sample = build("curricular", device, "memory_format=contiguous", "precision=float32")
    last, _ = build("curricular", device, "memory_format=channels_last", "precision=float32")
    if device == "cpu":
        for one in last.learners.values():
            use_memory_format(one.module, "channels_last", torch.device("cuda"), torch.float32)
    volumes = [p for p in last.generator.module.parameters() if p.dim() == 5 and p.shape[1] > 1 and p.shape[2] > 1]
    assert volumes
    assert all(p.is_contiguous(memory_format=torch.channels_last_3d) for p in volumes)
    tolerance = 5e-3 if "cuda" in device else 1e-5
    before = (plain.predict(sample.inputs) - last.predict(sample.inputs)).abs().max().item()
    assert before < tolerance
    step(last, sample)
    save_state(tmp_path / "state.safetensors", *last.state())
    tensors, facts = load_state(tmp_path / "state.safetensors")
    plain.load_state(tensors, facts)
    assert (plain.predict(sample.inputs) - last.predict(sample.inputs)).abs().max().item() < tolerance


def test_the_recipe_decides_the_memory_format_on_gpus_alone() -> None:
    network = torch.nn.Conv3d(4, 4, 3)
    for wish, kind in (("contiguous", torch.bfloat16), ("auto", torch.float32)):
        use_memory_format(network, wish, torch.device("cuda"), kind)
        assert network.weight.is_contiguous()
    use_memory_format(network, "channels_last", torch.device("cpu"), torch.bfloat16)
    assert network.weight.is_contiguous()
    use_memory_format(network, "auto", torch.device("cuda"), torch.bfloat16)
    assert network.weight.is_contiguous(memory_format=torch.channels_last_3d)
    with pytest.raises(BadInput, match="memory_format must be one of auto, contiguous, channels_last"):
        check_recipe(load_recipe("curricular", ["memory_format=nhwc"]))


def test_a_compiled_network_shares_its_weights(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU with the backend that traces and compiles nothing: compiling itself takes a minute there."""
    if device == "cpu":
        compiled = torch.compile
        monkeypatch.setattr(torch, "compile", lambda network: compiled(network, backend="eager"))
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(16, 1))
    learner = Learner(network, 1e-2, (0.9, 0.999), torch.device(device), torch.float32, compiled=True)
    inputs = torch.rand(2, 1, 4, 4, 4, device=device)
    names, before = set(learner.state("G")), learner.infer(inputs)
    assert torch.allclose(learner(inputs), before, atol=1e-4)
    learner.step((learner(inputs) - 1).square().mean())
    assert not torch.allclose(learner.infer(inputs), before)
    assert {name for name in learner.state("G") if "adam" not in name} == {name for name in names if "adam" not in name}
    assert not any("_orig_mod" in name for name in names)


def test_a_stopped_run_reaches_the_same_weights(device: str, ball_cohort: Path, tmp_path: Path) -> None:
    """Two epochs at once, and one epoch, a stop and the other: the same weights, on a CPU to the last digit."""
    recipe = load_recipe("curricular", [*SYSTEMS["curricular"], "epochs=2", "validation_people=1", "pictures_every=0"])
    cohort = Cohort.read(ball_cohort)

    def training(out: Path, run: Run | None = None, watch: Any = None) -> Run:
        split = new_split(cohort, recipe) if run is None else split_as_before(cohort, run)
        return train_split(out, recipe, split, lambda *_: None, run=run, device=device, threads=1, watch=watch)

    def stop(_entry: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    whole = training(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        training(tmp_path / "parts", watch=stop)
    parts = training(tmp_path / "parts", run=Run.open(tmp_path / "parts"))
    weights = [load_state(run.checkpoint)[0] for run in (whole, parts)]
    allowed = 0.0 if device == "cpu" else 1e-3  # backward of resampling sums on a GPU in no fixed order
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], rtol=allowed, atol=allowed)


def test_a_cpu_predicts_in_float32_whatever_the_recipe_trained_in():
    network, inputs = UNet3D(width=4, levels=2), torch.randn(1, 2, 8, 8, 8)
    assert torch.equal(infer(network, inputs, torch.bfloat16), infer(network, inputs, torch.float32))

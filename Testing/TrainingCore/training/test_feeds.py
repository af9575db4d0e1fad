"""What training steps are fed with: the same visits whatever the number of workers, and from any epoch on."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from TrainingCore.data.bundle import Bundle
from TrainingCore.data.case import Case
from TrainingCore.data.cohort import Cohort
from TrainingCore.data.recipe import load_recipe
from TrainingCore.data.run import Run
from TrainingCore.runtime.errors import BadInput
from TrainingCore.runtime.processes import Processes
from TrainingCore.train import train
from TrainingCore.training import feeds, simulated
from TrainingCore.training.feeds import SimulatedFeed, prefetch_one
from TrainingCore.training.simulated import OnTheFly, SimulatedPeople, masks_for
from TrainingCore.training.store import CaseStore

pytestmark = pytest.mark.usefixtures("one_thread")
PURPOSES = ("training", "validation")
ALONE = Processes(0, 1, "cpu")  # type: ignore[arg-type]
FRESH = ("simulated.visits=6", "simulated.reuse=3", "simulated.apart=2")
TINY = ("size=32", "width=2", "levels=2", "losses.adversarial=0", "pictures_every=0", "validation_people=1", "epochs=3")
TINY_PEOPLE = ("simulated.visits=3", "simulated.reuse=2", "simulated.apart=1", "augmentation.flip=0.5", "bias=0.1")


def numbered(people: SimulatedPeople, number: int) -> Case:
    """A visit of one voxel that holds its person's number, in place of a second of simulation."""
    volume = np.full((1, 1, 1), number, np.float32)
    return Case(people.label(number), "1", {"t1w": volume, "brain": volume > -1}, np.eye(4))


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimulatedPeople, "case", numbered)


def drawn(feed: SimulatedFeed, epochs: range) -> list[tuple[int, float]]:
    return [(int(batch[0].volumes["t1w"][0, 0, 0]), rng.random()) for batch, rng in feed.steps(epochs)]


@pytest.mark.usefixtures("numbers")
def test_every_simulated_visit_is_used_as_often_as_the_recipe_says_with_others_between() -> None:
    feed = SimulatedFeed(OnTheFly("RA").people(load_recipe("curricular", FRESH), "training"), ALONE)
    order = [number for number, _ in drawn(feed, range(10))]
    assert len(order) == 60
    assert all(order.count(number) == 3 for number in range(4, 12))
    assert [index for index, number in enumerate(order) if number == 6] == [18, 25, 32]


@pytest.mark.usefixtures("numbers")
def test_a_feed_resumed_at_any_epoch_goes_on_as_an_unbroken_one() -> None:
    feed = SimulatedFeed(OnTheFly("RA").people(load_recipe("curricular", FRESH), "training"), ALONE)
    assert drawn(feed, range(3, 5)) == drawn(feed, range(5))[3 * len(feed) :]


@pytest.mark.usefixtures("numbers")
def test_processes_that_share_gradients_meet_different_people() -> None:
    people = OnTheFly("RA").people(load_recipe("curricular", FRESH), "training")
    both = [SimulatedFeed(people, Processes(rank, 2, "cpu")) for rank in (0, 1)]  # type: ignore[arg-type]
    seen = [{number for number, _ in drawn(feed, range(4))} for feed in both]
    assert not seen[0] & seen[1]


def test_validation_people_are_others_and_keep_the_noise_of_their_scanner() -> None:
    recipe = load_recipe("curricular", ("size=32", "simulated.noise_free=true"))
    training, validation = (OnTheFly("B", 3).people(recipe, purpose) for purpose in ("training", "validation"))
    assert training.noise_free
    assert not validation.noise_free
    first, other = training.case(0), validation.case(0)
    assert first.person == other.person == "B0"
    assert first.shape == (32, 32, 32)
    assert {"t1w", "flair", "dvr", "lesions", "white_matter", "brain"} <= set(first.volumes)
    assert np.abs(first.volumes["dvr"] - other.volumes["dvr"]).max() > 0.1
    assert np.array_equal(first.volumes["flair"], training.case(0).volumes["flair"])


def test_a_run_on_simulated_people_resumes_to_the_same_bits_with_other_workers(tmp_path: Path) -> None:
    def course(out: Path, workers: int, epochs_before_the_stop: int | None = None) -> None:
        if epochs_before_the_stop is None:
            train(out, simulate=True, site="RA", changes=(*TINY, *TINY_PEOPLE), threads=1, workers=workers, resume=True)
            return
        with pytest.raises(InterruptedError):
            _stopped(out, workers, epochs_before_the_stop)

    def _stopped(out: Path, workers: int, epochs: int) -> None:
        from TrainingCore.training.session import train_split

        def stop(entry: dict[str, float]) -> None:
            if entry["epoch"] == epochs:
                raise InterruptedError

        recipe = load_recipe("curricular", (*TINY, *TINY_PEOPLE))
        train_split(out, recipe, OnTheFly("RA"), lambda *_: None, threads=1, workers=workers, watch=stop)

    course(tmp_path / "whole", 0)
    course(tmp_path / "broken", 0, epochs_before_the_stop=1)
    course(tmp_path / "broken", 2)
    whole, broken = (Bundle.open(tmp_path / name / "bundles" / "last") for name in ("whole", "broken"))
    assert whole.sha256 == broken.sha256
    facts = Run.open(tmp_path / "whole").facts
    assert facts["simulated"]
    assert "simulated in training" in whole.description["training_data"]
    assert facts["on_the_fly"]["phantom"]["constants"] in whole.description["training_data"]
    with pytest.raises(BadInput, match="started with --site RA"):
        train(tmp_path / "whole", simulate=True, site="B", resume=True)
    with pytest.raises(BadInput, match="started with --simulate-seed 1"):
        train(tmp_path / "whole", simulate=True, simulate_seed=2, resume=True)
    about = tmp_path / "whole" / "run.json"
    about.write_text(about.read_text().replace(facts["on_the_fly"]["phantom"]["constants"], "0123456789abcdef"))
    with pytest.raises(BadInput, match="another digital patient"):
        train(tmp_path / "whole", resume=True)


def test_workers_end_with_the_steps() -> None:
    import multiprocessing

    before = set(multiprocessing.active_children())
    course = feeds.prefetch(list(range(20)), abs, 1)
    assert next(course) == 0
    course.close()
    deadline = time.monotonic() + 10
    while set(multiprocessing.active_children()) - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not set(multiprocessing.active_children()) - before


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_end_with_a_training_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import os, sys, time\n"
        "from TrainingCore.training import feeds\n"
        "if __name__ == '__main__':\n"
        "    course = feeds.prefetch([1, 60, 60, 60], time.sleep, 1)\n"
        "    next(course)\n"
        "    import multiprocessing\n"
        "    print(multiprocessing.active_children()[0].pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    (tmp_path / "killed.py").write_text(script)
    path = {"PYTHONPATH": str(Path(__file__).parents[3])}
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "killed.py"], stdout=subprocess.PIPE, text=True, env=os.environ | path
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20
    while alive(worker) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(worker)


@pytest.mark.parametrize("wait", [True, False])
def test_prefetched_items_keep_their_order_and_their_errors(wait: bool) -> None:
    def items() -> feeds.Generator[int, None, None]:
        yield from range(5)
        raise ValueError("no sixth")

    course = prefetch_one(items(), lambda item: item * 10, wait)
    assert [next(course) for _ in range(5)] == [0, 10, 20, 30, 40]
    with pytest.raises(ValueError, match="no sixth"):
        next(course)


def test_a_cohort_and_simulated_people_at_once_are_refused(ball_cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="exclude each other"):
        train(tmp_path / "run", data=ball_cohort, simulate=True)
    with pytest.raises(BadInput, match="Site Q is unknown"):
        train(tmp_path / "run", simulate=True, site="Q")
    assert not (tmp_path / "run").exists()


@pytest.fixture
def real_shapes(tmp_path: Path) -> Path:
    """One real-looking lesion mask in MNI space: a ball of 8 mm radius in the left centrum semiovale."""
    axes = [np.arange(start, start + 97) - np.array(centre) for start, centre in ((-70, -26), (-70, -20), (-20, 28))]
    distance = np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))
    affine = np.array([[1, 0, 0, -70], [0, 1, 0, -70], [0, 0, 1, -20], [0, 0, 0, 1]], float)
    folder = tmp_path / "masks"
    folder.mkdir()
    nib.Nifti1Image((distance < 8).astype(np.uint8), affine).to_filename(folder / "sub-1_mask.nii.gz")
    return folder


def test_every_second_person_of_a_site_has_the_lesions_of_a_real_mask(real_shapes: Path) -> None:
    recipe = load_recipe("curricular", ("size=32",))
    with_masks = OnTheFly("RB", 3, tuple(real_shapes.iterdir())).people(recipe, "training")
    drawn_alone = OnTheFly("RB", 3).people(recipe, "training")
    pairs = [(with_masks.case(number), drawn_alone.case(number)) for number in range(4)]
    same = [np.array_equal(placed.volumes["lesions"], drawn.volumes["lesions"]) for placed, drawn in pairs]
    assert same == [True, True, False, False]
    placed = pairs[2][0]
    assert 1 <= int((placed.volumes["lesions"] > 0.5).sum()) <= 40  # 2.1 ml are 10 voxels of 6 mm
    assert placed.info["lesion_mask"] == "sub-1_mask.nii.gz"


def test_a_run_with_real_shapes_says_so_and_resumes_with_the_same_masks_alone(
    real_shapes: Path, tmp_path: Path
) -> None:
    how: dict[str, Any] = {"simulate": True, "changes": (*TINY, *TINY_PEOPLE, "epochs=1"), "threads": 1, "workers": 0}
    run = train(tmp_path / "run", lesion_masks=real_shapes, **how)
    assert "one of 1 real masks" in run.facts["training_data"]
    train(tmp_path / "run", resume=True, threads=1, workers=0)
    (real_shapes / "sub-2_mask.nii.gz").write_bytes((real_shapes / "sub-1_mask.nii.gz").read_bytes())
    with pytest.raises(BadInput, match="not those with which the run was started"):
        train(tmp_path / "run", resume=True, threads=1, workers=0)
    with pytest.raises(BadInput, match="needs --simulate"):
        train(tmp_path / "other", data=tmp_path, lesion_masks=real_shapes)
    with pytest.raises(BadInput, match="a system for MS"):
        train(tmp_path / "other", recipe="joint_flair_wmh", lesion_masks=real_shapes, simulate=True)


def test_a_grid_finer_or_coarser_than_the_digital_patients_is_served() -> None:
    for size, expected in ((64, 64), (50, 64), (300, 256)):
        people = OnTheFly().people(load_recipe("curricular", (f"size={size}",)), "training")
        assert people._size() == expected
    assert simulated.disease_of(load_recipe("joint_flair_wmh")) == "wmh"


@pytest.mark.usefixtures("numbers")
def test_processes_that_share_gradients_draw_other_numbers() -> None:
    people = OnTheFly("RA").people(load_recipe("curricular", FRESH), "training")
    first, second = (SimulatedFeed(people, Processes(rank, 2, "cpu")) for rank in (0, 1))  # type: ignore[arg-type]
    assert not {draw for _, draw in drawn(first, range(3))} & {draw for _, draw in drawn(second, range(3))}
    alone = SimulatedFeed(people, ALONE)
    seed = people.recipe["seed"]
    assert drawn(alone, range(1))[2][1] == np.random.default_rng([seed, 74, 2]).random(), "as before with one process"


def test_training_and_validation_people_share_no_real_lesions() -> None:
    masks = tuple(Path(f"{number}.nii.gz") for number in range(13))
    recipe = load_recipe("curricular", ("size=32",))
    training, validation = (set(OnTheFly("R", 1, masks).people(recipe, use).lesion_masks) for use in PURPOSES)
    assert not training & validation
    assert (len(training), len(validation)) == (10, 3)
    assert masks_for(masks, "training", 1) != masks_for(masks, "training", 2)
    assert masks_for(masks[:1], "training", 1) == masks_for(masks[:1], "validation", 1) == masks[:1]


def test_workers_get_no_copy_of_the_cache(ball_cohort: Path) -> None:
    cohort, recipe = Cohort.read(ball_cohort), load_recipe("curricular", ("size=32",))
    store = CaseStore(cohort, recipe, 1.0)
    store.read_all(lambda *_: None)
    alone = store.for_one_of(4)
    assert len(pickle.dumps(alone)) < len(pickle.dumps(store)) / 10
    assert np.array_equal(alone[0].volumes["t1w"], store[0].volumes["t1w"])

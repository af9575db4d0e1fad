"""One training, from people to bundles, as used by `train` and the experiments."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..data.bundle import Bundle
from ..data.cohort import Cohort
from ..data.model_card import TRAINED_IMAGES
from ..data.recipe import grid_spacing
from ..data.run import Run, run_of_bundle
from ..imaging.fingerprints import images_of_bundle, images_of_cohort, people_with_images
from ..runtime.errors import BadInput
from ..runtime.memory import keep_freed_memory
from ..runtime.processes import Processes, join_processes
from ..systems import system_class
from .export import export_bundles
from .feeds import CohortFeed, Feed, SimulatedFeed, Visits
from .loop import Trainer
from .simulated import OnTheFly
from .store import CaseStore

LOG = logging.getLogger(__name__)
Report = Callable[[str, float, str], None]
Watch = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Split:
    """Training and validation visits; no person is in both."""

    training: Cohort
    validation: Cohort


def train_split(
    out: Path,
    recipe: dict[str, Any],
    split: Split | OnTheFly,
    report: Report,
    *,
    run: Run | None = None,
    start: Bundle | None = None,
    device: str = "auto",
    threads: int = 0,
    workers: int = 0,
    watch: Watch | None = None,
) -> Run:
    """Train a recipe, or resume a run.

    Under `torchrun` only the first process writes.

    Args:
        out: folder of the run.
        recipe: complete recipe.
        split: visits of a cohort, or settings for simulated people.
        report: shows progress, called with (step, fraction, message).
        run: run to resume, or None.
        start: bundle to initialise the weights from, or None.
        device: auto, cpu or cuda:N.
        threads: CPU threads; 0 for all. A resumed run keeps its own, whose sums are in the same order.
        workers: processes that prepare visits in advance.
        watch: called with the log entry of every epoch; may raise an exception to end the training.

    Returns:
        The run with its bundles.

    Raises:
        BadInput: the recipe or a file cannot be used.
        MyelinSynthError: a loss became NaN or infinite.
    """
    threads = (run.facts.get("threads", 0) if run else 0) or threads
    if threads:
        torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic = True  # a resumed run on a GPU comes close (resampling still sums in any order)
    processes = join_processes(device)
    if processes.device.type == "cpu":
        keep_freed_memory()
    try:
        system = system_class(recipe["system"])(recipe, processes.device)
    except (ValueError, TypeError) as error:
        raise BadInput(f"The recipe cannot be used: {error}.") from error
    if start is not None:
        _check_start(start, recipe, system.keeps_map)
        system.start_from(start)
    if run is not None and isinstance(split, Split):
        _check_same_images(run, split.training, recipe["data"]["inputs"][0])
    feed, validation = _visits(split, recipe, processes, workers, report)
    if run is None:
        run = Run(out, {}, recipe)
        if processes.first:
            run = _new_run(out, recipe, split, feed, validation, start, report)
    trainer = Trainer(system, run, feed, validation, processes)
    trainer.train(lambda fraction, message: report("train", fraction, message), watch)
    if processes.first:
        export_bundles(run)
    return run


def _check_start(start: Bundle, recipe: dict[str, Any], keeps_map: bool) -> None:
    """Compare what an initial model was trained on with what it will be trained on now.

    Raises:
        BadInput: its inputs are in another order; or its map is to stay as it is, but would be made of other data.
    """
    about, data = start.description, recipe["data"]
    pairs = {
        "inputs": (about["inputs"], data["inputs"]),
        "target": (about["output"], data["target"]),
        "intensity rule": (about["intensity"], data["intensity"]),
        "voxels (mm)": (round(about["grid"]["spacing_mm"], 3), round(grid_spacing(recipe), 3)),
    }
    differ = [f"{name} {old} instead of {new}" for name, (old, new) in pairs.items() if old != new]
    if not differ:
        return
    what = f"The initial model {start.path} has {'; '.join(differ)}"
    if about["inputs"] != data["inputs"] and sorted(about["inputs"]) == sorted(data["inputs"]):
        raise BadInput(f"{what}: it would read one image as another. Use --set inputs=[{', '.join(about['inputs'])}].")
    if keeps_map:
        raise BadInput(f"{what}, so its map would not stay as it is. Use the data settings of its own recipe.")
    LOG.warning(f"{what}. Its weights have to be learnt anew in part.")


def _check_same_images(run: Run, training: Cohort, volume: str) -> None:
    """Raise BadInput if a resumed run would be trained on other images than those that it says it was trained on."""
    known = set(run.facts.get(TRAINED_IMAGES, {}).get(volume, ()))
    others = set(images_of_cohort(training, volume)[volume]) - known
    if known and others:
        raise BadInput(
            f"{len(others)} training images of {training.path} are not those with which the run was started. Give the "
            "same cohort with --data, or start a new run with another --out."
        )


def _new_run(
    out: Path,
    recipe: dict[str, Any],
    split: Split | OnTheFly,
    feed: Feed,
    validation: Visits,
    start: Bundle | None,
    report: Report,
) -> Run:
    """Create the folder of a run."""
    if isinstance(split, OnTheFly):
        facts = _facts_on_the_fly(split, feed, validation, start)
    else:
        facts = _facts_of(split, start, recipe["data"]["inputs"][0], report)
    run = Run.create(out, recipe, {**facts, "threads": torch.get_num_threads()})
    if isinstance(split, Split):
        _warn_of_known_people(facts, split.validation, start)
    return run


def _visits(
    split: Split | OnTheFly, recipe: dict[str, Any], processes: Processes, workers: int, report: Report
) -> tuple[Feed, Visits]:
    """Open the feed of training data and the validation visits; every visit is read once."""
    if isinstance(split, OnTheFly):
        chosen = split.validation(recipe)
        for index in range(len(chosen) if processes.first else 0):
            report("read", 0.0, f"simulating validation visit {index + 1} of {len(chosen)}")
            chosen[index]
        return SimulatedFeed(split.people(recipe, "training"), processes, workers), chosen
    stores = [CaseStore(part, recipe, recipe["data"]["memory_gb"]) for part in (split.training, split.validation)]
    for store in stores:
        store.read_all(lambda done, of: report("read", 0.0, f"reading visit {done + 1} of {of}"))
    return CohortFeed(stores[0], recipe, processes, workers), stores[1]


def split_as_before(cohort: Cohort, run: Run) -> Split:
    """Restore the split of a run.

    Args:
        cohort: the cohort of the run, as it is now.
        run: the run to resume.

    Returns:
        The same training and validation people as at the start of the run.

    Raises:
        BadInput: people of the split are missing from the cohort.
    """
    people = run.facts["people"]
    missing = set(people["training"] + people["validation"]) - set(cohort.people)
    if missing:
        raise BadInput(
            f"{cohort.path} no longer holds {len(missing)} of the people this run started with "
            f"({', '.join(sorted(missing)[:3])}). Restore them, or start a new run."
        )
    return Split(cohort.of(people["training"]), cohort.of(people["validation"]))


def new_split(cohort: Cohort, recipe: dict[str, Any], stratify: Sequence[str] = ()) -> Split:
    """Split a cohort by person with the seed and validation size of the recipe.

    Args:
        cohort: all visits usable for training.
        recipe: its seed, `data.validation_people` and `data.training_people` (0: all others) are used.
        stratify: columns of participants.tsv to stratify by.

    Returns:
        Training and validation visits.
    """
    training, validation = cohort.split(recipe["data"]["validation_people"], recipe["seed"], stratify)
    few = recipe["data"]["training_people"]
    if few:  # drawn, as neighbours in a list often come from one site; a smaller number is part of a larger one
        training = training.of(training.shuffled([recipe["seed"], 72], stratify)[:few])
    return Split(training, validation)


def _facts_on_the_fly(simulation: OnTheFly, feed: Feed, validation: Visits, start: Bundle | None) -> dict[str, Any]:
    """Entries of run.json for people simulated on the fly, including the edition of the phantom."""
    example = validation[0] if len(validation) else feed.first_visit()
    phantom = example.info.get("phantom", {"edition": 1})
    made_by = f"digital patient, edition {phantom['edition']}"
    if "constants" in phantom:
        made_by += f", constants {phantom['constants']}"
    sites = ", ".join(sorted(set(simulation.sites)))
    shapes: dict[str, Any] = {}
    if masks := simulation.lesion_masks:
        from ..phantom.placed_masks import digest_of

        shapes["lesion_masks"] = {"folder": str(masks[0].parent), "digest": digest_of(list(masks))}
        sites += f"; every second one with the lesions of one of {len(masks)} real masks"
    people = [validation[index].person for index in range(len(validation))]
    started, words = _initial_model(start)
    return {
        **started,
        "data": "simulated on the fly",
        "on_the_fly": {"sites": simulation.sites, "seed": simulation.seed, "phantom": phantom, **shapes},
        "people": {"training": [], "validation": people},
        "visits": {"training": 0, "validation": len(people)},
        "simulated": True,
        "training_data": f"patients simulated in training ({made_by}; sites {sites}; seed {simulation.seed}){words}",
    }


def _initial_model(start: Bundle | None) -> tuple[dict[str, Any], str]:
    """Entry of run.json for the initial model, and description of that model's training data."""
    if start is None:
        return {}, ""
    facts: dict[str, Any] = {"started_from": {"path": str(start.path.resolve()), "weights_sha256": start.sha256}}
    if images := images_of_bundle(start.description):
        facts[TRAINED_IMAGES] = images
    if (run := run_of_bundle(start.path)) is not None:
        facts["trained_before"] = {data: sorted(people) for data, people in run.trained_people().items()}
    return facts, f"; started from a model trained on: {start.description['training_data']}"


def _warn_of_known_people(facts: dict[str, Any], cohort: Cohort, start: Bundle | None) -> None:
    """Warn if the initial model was trained on people who validate this run."""
    validation = cohort.people
    known = set(facts.get("trained_before", {}).get(facts["data"], ())) & set(validation)
    if start is not None:
        known |= people_with_images(cohort, images_of_bundle(start.description))
    if known:
        LOG.warning(
            f"The initial model was trained on {len(known)} of the {len(validation)} validation people: their "
            "errors are too low, and what is chosen on them is optimistic. Use the seed and validation_people "
            "of the initial model's run."
        )


def _editions(cohort: Cohort) -> str:
    """Editions and constants of the digital patients of a cohort, from the sidecars of the visits' first images."""
    editions = set()
    for visit in cohort.visits:
        path = next(iter(visit.files.values()))
        try:
            about = json.loads(path.with_name(f"{path.name.partition('.')[0]}.json").read_text(encoding="utf-8"))
            editions.add(f"edition {about['PhantomEdition']}, constants {about['PhantomConstants']}")
        except (OSError, ValueError, KeyError, TypeError):
            continue  # prepared or written by other software
    return "; ".join(["digital patients", *sorted(editions)])


def _facts_of(split: Split, start: Bundle | None, volume: str, report: Report) -> dict[str, Any]:
    """Entries of run.json for the data: people of each part, their images, training data in words, initial model."""
    training, validation = split.training, split.validation
    simulated = training.simulated or validation.simulated
    kind = f"simulated ({_editions(training)})" if simulated else "measured"
    started, words = _initial_model(start)

    def tell(done: int, of: int) -> None:
        report("read", 0.0, f"fingerprint of training image {done + 1} of {of}")

    return {
        **started,
        "data": str(training.path.resolve() if training.path else ""),
        "people": {"training": training.people, "validation": validation.people},
        TRAINED_IMAGES: images_of_cohort(training, volume, started.get(TRAINED_IMAGES), tell),
        "visits": {"training": len(training), "validation": len(validation)},
        "simulated": simulated or (start is not None and start.simulated),
        "training_data": f"{len(training)} visits of {len(training.people)} people, {kind}{words}",
    }

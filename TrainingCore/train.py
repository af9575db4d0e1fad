"""Train a system on a BIDS cohort: python -m TrainingCore.train --data BIDS --recipe curricular --out RUN."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .bundle import Bundle
from .cli import Progress, add_progress_option, parser, run_command
from .cohort import Cohort
from .errors import BadInput
from .recipe import available, load_recipe
from .rules import check_recipe, volumes_to_learn
from .run import Run, check_not_begun


def arguments() -> argparse.ArgumentParser:
    """The command's options."""
    options = parser(
        "train",
        "Train a system on a BIDS cohort (T1w, FLAIR, DVR, lesions, white matter, brain mask).",
        "python -m TrainingCore.train --data cohortA --recipe curricular --out runs/first --set epochs=20",
    )
    options.add_argument("--data", type=Path, help="BIDS folder (needed unless --resume finds it in the run)")
    options.add_argument("--recipe", default="curricular", help=f"a recipe ({', '.join(available())}) or a .yaml file")
    options.add_argument("--out", type=Path, required=True, help="folder of the run")
    options.add_argument(
        "--set",
        dest="changes",
        nargs="+",
        action="extend",
        default=[],
        metavar="key=value",
        help="change recipe values, e.g. --set size=64 width=8",
    )
    options.add_argument(
        "--resume", action="store_true", help="go on with the run in --out (start it where there is none)"
    )
    options.add_argument("--start-from", metavar="BUNDLE", help="start from a trained model instead of random weights")
    options.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    options.add_argument(
        "--threads", type=int, default=0, help="CPU threads (0: all); a resumed run needs the same number"
    )
    add_progress_option(options)
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the run, train it, write its bundles."""
    options = arguments().parse_args(argv)
    resume = options.resume and (options.out / "run.json").is_file()
    run = Run.open(options.out) if resume else None
    recipe = run.recipe if run else load_recipe(options.recipe, options.changes)
    if run is not None and options.changes and load_recipe(options.recipe, options.changes) != recipe:
        raise BadInput(
            "A resumed run keeps its recipe, and --recipe and --set ask for another. Leave them out, or start a new "
            "run with another --out."
        )
    check_recipe(recipe)
    data = options.data or (Path(run.facts["data"]) if run else None)
    if data is None:
        raise BadInput("Say which cohort to train on: --data BIDS_FOLDER.")
    needed = volumes_to_learn(recipe)
    cohort = Cohort.read(data, recipe["data"]["inputs"]).ready_to_learn(needed)
    if run is None:
        check_not_begun(options.out)
    start = options.start_from or (run.facts.get("started_from", {}).get("path") if run else None)
    code = train(cohort, recipe, run, Bundle.open(start) if start else None, options)

    from .training.processes import leave_processes

    leave_processes()  # only now: networks that share gradients must be gone before the connection is
    return code


def train(
    cohort: Cohort, recipe: dict[str, Any], run: Run | None, start: Bundle | None, options: argparse.Namespace
) -> int:
    """Everything that needs torch: processes, system, loop, bundles."""
    import torch

    from .systems import system_class
    from .training.export import export_bundles
    from .training.loop import Trainer
    from .training.processes import join_processes
    from .training.store import CaseStore

    threads = options.threads or (run.facts.get("threads", 0) if run else 0)
    if threads:
        torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic = True  # a resumed run on a GPU reaches the same bits
    processes = join_processes(options.device)
    try:
        system = system_class(recipe["system"])(recipe, processes.device)
    except (ValueError, TypeError) as error:
        raise BadInput(f"The recipe cannot be used: {error}.") from error
    if start is not None:
        system.start_from(start)
    training, validation = split_as_before(cohort, recipe, run)
    if processes.first and run is None:
        facts = {**facts_of(cohort, training, validation, start), "threads": torch.get_num_threads()}
        run = Run.create(options.out, recipe, facts)
    elif run is None:
        run = Run(options.out, {}, recipe)
    stores = [CaseStore(part, recipe, recipe["data"]["memory_gb"]) for part in (training, validation)]
    with Progress(options.progress if processes.first else "none", "training") as progress:
        for store in stores:
            store.read_all(lambda done, of: progress.report("read", 0.0, f"reading visit {done + 1} of {of}"))
        trainer = Trainer(system, run, stores[0], stores[1], processes)
        trainer.train(lambda fraction, message: progress.report("train", fraction, message))
        progress.report("train", 1.0, "trained")
    if processes.first:
        export_bundles(run)
        print(f"Trained: {run.path / 'bundles' / 'best'}") if options.progress != "json" else None
    return 0


def split_as_before(cohort: Cohort, recipe: dict[str, Any], run: Run | None) -> tuple[Cohort, Cohort]:
    """The split by person, which a resumed run takes from its run.json."""
    if run is None:
        training, validation = cohort.split(recipe["data"]["validation_people"], recipe["seed"])
        few = recipe["data"]["training_people"]
        return (training.of(training.people[:few]) if few else training), validation
    missing = set(run.facts["people"]["training"] + run.facts["people"]["validation"]) - set(cohort.people)
    if missing:
        raise BadInput(
            f"{cohort.path} no longer holds {len(missing)} of the people this run started with "
            f"({', '.join(sorted(missing)[:3])}). Restore them, or start a new run."
        )
    return cohort.of(run.facts["people"]["training"]), cohort.of(run.facts["people"]["validation"])


def facts_of(cohort: Cohort, training: Cohort, validation: Cohort, start: Bundle | None) -> dict[str, Any]:
    """What run.json says of the data: people of each split, the training data in words, the model it started from."""
    kind = "simulated (digital patients)" if cohort.simulated else "measured"
    words = f"{len(training)} visits of {len(training.people)} people, {kind} DVR"
    started = {}
    if start is not None:
        words += f"; before that, {start.description['training_data']}"
        started = {"started_from": {"path": str(start.path.resolve()), "weights_sha256": start.sha256}}
    return {
        **started,
        "data": str(cohort.path.resolve() if cohort.path else ""),
        "people": {"training": training.people, "validation": validation.people},
        "visits": {"training": len(training), "validation": len(validation)},
        "simulated": cohort.simulated or (start is not None and start.simulated),
        "training_data": words,
    }


if __name__ == "__main__":
    raise SystemExit(run_command(main))

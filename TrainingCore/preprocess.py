"""Raw hospital images to aligned, masked cases on one grid, as BIDS derivatives that train and evaluate read."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .data.case import REFERENCES, VOLUME_NAMES, reference_of, word_of
from .data.cohort import Cohort, Visit
from .runtime.cli import Progress, add_progress_option, parser, run_command
from .runtime.errors import BadInput

EXAMPLE = "python -m TrainingCore.preprocess --data hospital_bids --out hospital_bids/derivatives/prepared --jobs 8"
REFERENCE = (
    "Everything is brought to the T1w of a visit; where there is none, to its FLAIR, else T2w, else T1w after contrast "
    "agent. Tissues are found in the T1w alone: without one they must be given, or there are no tissue masks."
)
FIELD_OF_VIEW_MM = 192.0  # along the longest axis, as in the recipes: 128 means 1.5 mm, 160x192x160 means 1 mm
JOB_GB = 2.0  # one visit at a time needs 1.1 to 1.4 GB (measured on raw clinical and 1 mm data)


def arguments() -> argparse.ArgumentParser:
    """The command's options."""
    options = parser("preprocess", f"{__doc__} {REFERENCE}", EXAMPLE)
    options.add_argument("--data", type=Path, required=True, help="BIDS folder, or a .csv table with a row per visit")
    options.add_argument("--out", type=Path, required=True, help="folder of the derivatives dataset to write")
    options.add_argument(
        "--grid",
        default="128",
        metavar="N|IxJxK|own",
        help="128 (default), 160x192x160, ... around the brain; own: the grid of the T1w (or what stands in for it, "
        "or the PET)",
    )
    options.add_argument("--spacing", type=float, metavar="MM", help="voxel edge (default: 192 mm / longest axis)")
    options.add_argument(
        "--space",
        choices=("t1w", "pet"),
        default="t1w",
        help="space of the output: t1w, or what stands in for it (default), or pet",
    )
    options.add_argument("--people", nargs="+", metavar="LABEL", help="only these people (default: all)")
    options.add_argument(
        "--needs", nargs="+", default=[], metavar="VOLUME", help="leave out visits without these, e.g. t1w flair"
    )
    options.add_argument("--choose", nargs="+", default=[], metavar="KEY-LABEL", help="of several images, e.g. run-1")
    options.add_argument("--jobs", type=int, default=0, metavar="N", help="visits side by side (default: what fits)")
    options.add_argument("--scheduler", metavar="ADDRESS", help="Dask cluster: tcp://HOST:8786, or local:N to try it")
    add_progress_option(options)
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Find the visits, prepare those that are not there yet, write the page for people."""
    options = arguments().parse_args(argv)
    settings = settings_of(options)
    cohort = find_visits(options)

    from .preprocessing import dataset
    from .reporting.qc_page import write_page

    out = Path(os.path.abspath(options.out))
    dataset.check_places(options.data, out)
    with dataset.claimed(out):
        dataset.begin(out, cohort, settings)
        tasks = dataset.tasks_of(cohort, out, settings)
        waiting = [task for task in tasks if not dataset.up_to_date(task)]
        with Progress(options.progress, "Preparing") as progress:
            for note in cohort.notes:
                progress.say(f"note: {note}")
            failures = run(waiting, len(tasks), options, progress)
            failures = [*failures, *({"visit": "", "reason": sentence} for sentence in cohort.bad_rows)]
            progress.report("page", 0.99, "Writing the page")
            dataset.finish(out, cohort, failures)
            write_page(out, tasks, failures, cohort.notes)
            progress.report("page", 1.0, "Done")
            say_end(out, tasks, waiting, failures, progress)
    return 1 if failures else 0


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """What decides the outcome, from the options; raises BadInput."""
    grid: str | list[int] = options.grid
    spacing = None
    if grid != "own":
        match = re.fullmatch(r"(\d+)(?:x(\d+)x(\d+))?", options.grid)
        shape = [int(n or match[1]) for n in match.groups()] if match else []
        if not shape or not all(16 <= n <= 512 for n in shape):
            raise BadInput(f"--grid {options.grid}: write 128, 160x192x160 or own (16 to 512 voxels along each axis).")
        grid, spacing = shape, options.spacing or FIELD_OF_VIEW_MM / max(shape)
        if not 0.2 <= spacing <= 10:
            raise BadInput(f"Voxels of {spacing:g} mm are not for heads. Give --spacing between 0.2 and 10 mm.")
    elif options.spacing:
        raise BadInput("--spacing belongs to a --grid of voxels; --grid own keeps the image's own.")
    unknown = sorted(set(options.needs) - set(VOLUME_NAMES))
    if unknown:
        raise BadInput(f"--needs {' '.join(unknown)}: volumes are called {', '.join(VOLUME_NAMES)}.")
    if options.jobs < 0:
        raise BadInput("--jobs must be 1 or more.")
    return {"space": options.space, "grid": grid, "spacing_mm": spacing}


def find_visits(options: argparse.Namespace) -> Cohort:
    """The visits to prepare; raises BadInput where there is none."""
    needs = [*dict.fromkeys([*options.needs, *(["dvr"] if options.space == "pet" else [])])]
    cohort = Cohort.scan(options.data, raw=True, needs=needs, choose=options.choose)
    _leave_out_unanchored(cohort)
    if options.people:
        wanted = {label.removeprefix("sub-") for label in options.people}
        unknown = sorted(wanted - {visit.person for visit in [*cohort.visits, *cohort.incomplete]})
        if unknown:
            raise BadInput(f"{options.data} has nobody called {', '.join(unknown)}. Check --people.")
        cohort.visits = [visit for visit in cohort.visits if visit.person in wanted]
    if not cohort.visits:
        reasons = [*cohort.bad_rows, *cohort.notes][:3]
        raise BadInput(
            f"{options.data} holds no visit with {' and '.join(needs or ['an MRI'])}: nothing to prepare."
            + "".join(f"\n  {reason}" for reason in reasons)
        )
    cohort.notes += [sentence for visit in cohort.visits for sentence in _without_t1w_or_flair(visit)]
    return cohort


def _leave_out_unanchored(cohort: Cohort) -> None:
    """Make visits incomplete that have no image to which the others could be brought."""
    unusable = [visit for visit in cohort.visits if reference_of(visit.files) is None]
    cohort.visits = [visit for visit in cohort.visits if reference_of(visit.files) is not None]
    cohort.incomplete += unusable
    cohort.notes += [f"{visit.label} has no {' and no '.join(map(word_of, REFERENCES))}" for visit in unusable]


def _without_t1w_or_flair(visit: Visit) -> list[str]:
    """What it means for a visit that it lacks one of the two, in sentences."""
    reference = reference_of(visit.files)
    if reference == "t1w":
        return [] if "flair" in visit.files else [f"{visit.label} has no FLAIR; the rest was prepared"]
    given = "label_map" in visit.files or {"white_matter", "grey_matter"} <= set(visit.files)
    lost = "" if given else "; it has no tissue masks"
    return [f"{visit.label} has no T1w: its images were brought to its {word_of(reference or '')}{lost}"]


def run(waiting: Sequence[Any], of: int, options: argparse.Namespace, progress: Progress) -> list[dict[str, str]]:
    """Prepare what is waiting; returns the failures, each said when it happens.

    Raises MyelinSynthError where going on makes no sense, as on a full disk.
    """
    from .runtime.errors import MyelinSynthError

    failures = []
    done = of - len(waiting)
    progress.report("prepare", done / of, f"{done} of {of} visits are there already" if done else f"{of} visits")
    for outcome in outcomes_of(waiting, options):
        done += 1
        for warning in outcome.warnings:
            progress.say(f"warning: {outcome.label}: {warning}")
        if outcome.state == "failed":
            failures.append({"visit": outcome.label, "reason": outcome.sentence})
            progress.say(f"failed: {outcome.label}: {outcome.sentence}")
        took = f", {outcome.seconds:.0f} s" if outcome.seconds else ""
        progress.report("prepare", 0.98 * done / of, f"{outcome.label} {outcome.state} ({done} of {of}{took})")
        if outcome.fatal:
            raise MyelinSynthError(f"{outcome.sentence} Nothing half-written is left; run again to go on.")
    return failures


def outcomes_of(waiting: Sequence[Any], options: argparse.Namespace) -> Iterator[Any]:
    """Outcomes from this machine's cores or from a cluster."""
    from .preprocessing.schedulers import on_a_cluster, on_this_machine

    if not waiting:
        return iter(())
    if options.scheduler:
        return on_a_cluster(waiting, options.scheduler)
    jobs = min(options.jobs or jobs_that_fit(), len(waiting))
    from dataclasses import replace

    threads = max((os.cpu_count() or 1) // jobs, 1)
    return on_this_machine([replace(task, threads=threads) for task in waiting], jobs)


def jobs_that_fit() -> int:
    """As many visits as there are cores, fewer where memory would not suffice."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    except (AttributeError, ValueError, OSError):
        return cores  # a system that does not say
    return max(min(cores, int(free / JOB_GB)), 1)


def say_end(
    out: Path, tasks: Sequence[Any], waiting: Sequence[Any], failures: Sequence[dict[str, str]], progress: Progress
) -> None:
    """How it went, in a few lines."""
    there = len(tasks) - len(waiting)
    failed = sum(1 for failure in failures if failure["visit"])
    made = len(waiting) - failed
    progress.say(f"{made} visits prepared, {there} unchanged, {len(failures)} failed. Look at {out / 'qc.html'}")
    for failure in failures:
        progress.say(f"  {failure['visit']}: {failure['reason']}" if failure["visit"] else f"  {failure['reason']}")


if __name__ == "__main__":
    raise SystemExit(run_command(main))

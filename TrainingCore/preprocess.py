"""Raw hospital images to aligned, masked cases on one grid, as BIDS derivatives that train and evaluate read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from .data.bundle import LESION_FINDER
from .data.case import REFERENCES, VOLUME_NAMES, reference_of, word_of
from .data.cohort import Cohort, Visit
from .runtime.cli import Progress, run_command
from .runtime.errors import BadInput
from .runtime.signature import Option, ProgressMode, command

FIELD_OF_VIEW_MM = 192.0  # along the longest axis, as in the recipes: 128 means 1.5 mm, 160x192x160 means 1 mm
JOB_GB = 2.0  # one visit at a time needs 1.1 to 1.4 GB (measured on raw clinical and 1 mm data)


def preprocess(
    data: Path,
    out: Path,
    *,
    grid: Annotated[str, Option("N|IxJxK|own")] = "128",
    spacing: Annotated[float | None, Option("MM")] = None,
    space: Literal["t1w", "pet"] = "t1w",
    people: Annotated[Sequence[str], Option("LABEL")] = (),
    needs: Annotated[Sequence[str], Option("VOLUME")] = (),
    choose: Annotated[Sequence[str], Option("KEY-LABEL")] = (),
    find_lesions: bool = False,
    jobs: Annotated[int, Option("N")] = 0,
    scheduler: Annotated[str | None, Option("ADDRESS")] = None,
    progress: ProgressMode = "bar",
) -> PreparedDataset:
    """Prepare raw hospital images as aligned, masked cases on one grid: BIDS derivatives that train and evaluate read.

    Every image of a visit is brought to its T1w; without one, to its FLAIR, else T2w, else T1w after contrast agent.
    Tissues are segmented in the T1w alone: without one they must be given, or there are no tissue masks.

    Args:
        data: BIDS folder, or a .csv table with a row per visit.
        out: folder of the derivatives dataset to write; reuse it to resume.
        grid: 128, 160x192x160, ... voxels around the brain; own keeps the grid of the T1w (or of the image in its
            place, or of the PET).
        spacing: voxel edge (default: 192 mm / longest axis).
        space: space of the output, that of the T1w (or of the image in its place) or of the PET.
        people: only these people (default: all).
        needs: leave out visits without these, e.g. t1w flair.
        choose: which of several images to prefer, e.g. run-1.
        find_lesions: find the lesions of visits without a lesion mask automatically; they are to be reviewed.
        jobs: parallel jobs (default: limited by cores and memory).
        scheduler: Dask cluster, tcp://HOST:8786, or local:N to try it.
        progress: how to show progress; bar is on stderr, json on stdout.

    Returns:
        The dataset, with the visits that could not be prepared.

    Raises:
        BadInput: the data, the grid or the output folder cannot be used.

    Example:
        python -m TrainingCore.preprocess --data hospital_bids --out hospital_bids/derivatives/prepared --jobs 8
    """
    data = Path(data)
    settings = settings_of(grid, spacing, space) | (finder_settings() if find_lesions else {})
    check_volumes(needs)
    if jobs < 0:
        raise BadInput("--jobs must be 1 or more.")
    cohort = find_visits(data, space, needs, choose, people)

    from .preprocessing import dataset
    from .reporting.qc_page import write_page

    target = Path(os.path.abspath(out))
    dataset.check_places(data, target)
    with dataset.claimed(target):
        dataset.begin(target, cohort, settings)
        tasks = dataset.tasks_of(cohort, target, settings)
        waiting = [task for task in tasks if not dataset.up_to_date(task)]
        with Progress(progress, "Preparing") as reporter:
            for note in cohort.notes:
                reporter.say(f"note: {note}")
            for file in cohort.unused:
                reporter.say(f"not used: {file}")
            failures = run(waiting, len(tasks), jobs, scheduler, reporter)
            failures = [*failures, *({"visit": "", "reason": sentence} for sentence in cohort.bad_rows)]
            reporter.report("page", 0.99, "Writing the page")
            dataset.finish(target, cohort, failures)
            notes = [*cohort.notes, *(f"not used: {file}" for file in cohort.unused)]
            write_page(target, dataset.prepared_visits(target, tasks), failures, notes)
            reporter.report("page", 1.0, "Done")
            say_end(target, tasks, waiting, failures, reporter)
    return PreparedDataset(target, len(tasks), failures)


@dataclass(frozen=True)
class PreparedDataset:
    """A dataset that `preprocess` wrote; visits: how many were asked for; failures: {visit, reason} of the others."""

    path: Path
    visits: int
    failures: list[dict[str, str]]

    @property
    def page(self) -> Path:
        """qc.html, every case for people to look at."""
        return self.path / "qc.html"


def finder_settings() -> dict[str, Any]:
    """The lesion finder as a setting: its name and weights. Raises BadInput where it is not installed."""
    from .patient.lesion_finding import open_finder

    bundle = open_finder(LESION_FINDER)
    if bundle is None:
        raise BadInput("The lesion finder is not installed with this copy of MyelinSynth: leave out --find-lesions.")
    return {"lesion_finder": LESION_FINDER, "lesion_finder_weights": bundle.sha256}


def settings_of(grid: str, spacing: float | None, space: str) -> dict[str, Any]:
    """What decides the outcome; raises BadInput where grid or spacing cannot be used."""
    shape: list[int] = []
    if grid != "own":
        match = re.fullmatch(r"(\d+)(?:x(\d+)x(\d+))?", grid)
        shape = [int(n or match[1]) for n in match.groups()] if match else []
        if not shape or not all(16 <= n <= 512 for n in shape):
            raise BadInput(f"--grid {grid}: write 128, 160x192x160 or own (16 to 512 voxels along each axis).")
        spacing = spacing or FIELD_OF_VIEW_MM / max(shape)
        if not 0.2 <= spacing <= 10:
            raise BadInput(f"Voxels of {spacing:g} mm are not for heads. Give --spacing between 0.2 and 10 mm.")
    elif spacing:
        raise BadInput("--spacing belongs to a --grid of voxels; --grid own keeps the image's own.")
    return {"space": space, "grid": shape or grid, "spacing_mm": spacing}


def check_volumes(needs: Sequence[str]) -> None:
    """Raise BadInput for a volume that is not known."""
    unknown = sorted(set(needs) - set(VOLUME_NAMES))
    if unknown:
        raise BadInput(f"--needs {' '.join(unknown)}: volumes are called {', '.join(VOLUME_NAMES)}.")


def find_visits(data: Path, space: str, needs: Sequence[str], choose: Sequence[str], people: Sequence[str]) -> Cohort:
    """The visits to prepare; raises BadInput where there is none."""
    needs = [*dict.fromkeys([*needs, *(["dvr"] if space == "pet" else [])])]
    cohort = Cohort.scan(data, raw=True, needs=needs, choose=choose)
    _leave_out_unanchored(cohort)
    if people:
        labels = {label.removeprefix("sub-") for label in people}
        unknown = sorted(labels - {visit.person for visit in [*cohort.visits, *cohort.incomplete]})
        if unknown:
            raise BadInput(f"{data} has no person called {', '.join(unknown)}. Check --people.")
        cohort.visits = [visit for visit in cohort.visits if visit.person in labels]
    if not cohort.visits:
        reasons = [*cohort.bad_rows, *cohort.notes][:3] + [f"not used: {file}" for file in cohort.unused[:5]]
        raise BadInput(
            f"{data} holds no visit with {' and '.join(needs or ['an MRI'])}: nothing to prepare."
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
    segmented = "label_map" in visit.files or {"white_matter", "grey_matter"} <= set(visit.files)
    lost = "" if segmented else "; it has no tissue masks"
    return [f"{visit.label} has no T1w: its images were brought to its {word_of(reference or '')}{lost}"]


def run(waiting: Sequence[Any], of: int, jobs: int, scheduler: str | None, progress: Progress) -> list[dict[str, str]]:
    """Prepare what is waiting; returns the failures, each said when it happens.

    Raises MyelinSynthError where going on makes no sense, as on a full disk.
    """
    from .runtime.errors import MyelinSynthError

    failures = []
    done = of - len(waiting)
    progress.report("prepare", done / of, f"{done} of {of} visits are there already" if done else f"{of} visits")
    for outcome in outcomes_of(waiting, jobs, scheduler):
        done += 1
        for warning in outcome.warnings:
            progress.say(f"warning: {outcome.label}: {warning}")
        if outcome.state == "failed":
            failures.append({"visit": outcome.label, "reason": outcome.sentence})
            progress.say(f"failed: {outcome.label}: {outcome.sentence}")
        took = f", {outcome.seconds:.0f} s" if outcome.seconds else ""
        progress.report("prepare", 0.98 * done / of, f"{outcome.label} {outcome.state} ({done} of {of}{took})")
        if outcome.fatal:
            raise MyelinSynthError(f"{outcome.sentence} Nothing half-written is left; run again to resume.")
    return failures


def outcomes_of(waiting: Sequence[Any], jobs: int, scheduler: str | None) -> Iterator[Any]:
    """Outcomes from this machine's cores or from a cluster."""
    from .preprocessing.schedulers import on_a_cluster, on_this_machine

    if not waiting:
        return iter(())
    if scheduler:
        return on_a_cluster(waiting, scheduler)
    jobs = min(jobs or jobs_that_fit(), len(waiting))
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
    """How it went, in a few lines; failures that were not said when they happened."""
    there = len(tasks) - len(waiting)
    failed = sum(1 for failure in failures if failure["visit"])
    prepared = len(waiting) - failed
    visits = "visit" if prepared == 1 else "visits"
    text = f"{prepared} {visits} prepared, {there} unchanged, {len(failures)} failed."
    progress.say(f"{text} Look at {out / 'qc.html'}")
    for failure in failures:
        if not failure["visit"]:
            progress.say(f"  {failure['reason']}")


main = command(preprocess, code=lambda dataset: 1 if dataset.failures else 0)

if __name__ == "__main__":
    raise SystemExit(run_command(main))

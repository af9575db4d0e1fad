"""Prepare raw hospital images for training and evaluation: aligned, masked, on one grid, as BIDS derivatives."""

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
JOB_GB = 2.0  # per parallel job; a visit needs 1.1 to 1.4 GB (measured on raw clinical and 1 mm data)


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
    """Prepare raw hospital images for train and evaluate: aligned, masked, on one grid, as BIDS derivatives.

    All images of a visit are registered to the T1w or, if there is none, to the FLAIR, T2w or post-contrast T1w, in
    this order. Tissue segmentation needs a T1w; visits without one have tissue masks only if masks or a label map
    are provided.

    Args:
        data: BIDS folder, or a .csv table with one row per visit.
        out: derivatives dataset to write; reuse it to resume.
        grid: voxels around the brain, e.g. 128 or 160x192x160; own keeps the grid of the reference image (T1w or its
            substitute, or PET).
        spacing: voxel size (default: 192 mm / longest axis).
        space: space of the output, that of the T1w (or its substitute) or of the PET.
        people: only these people (default: all).
        needs: skip visits without these volumes, e.g. t1w flair.
        choose: which of several images to use, e.g. run-1.
        find_lesions: segment lesions automatically in visits without a lesion mask; review them before training.
        jobs: parallel jobs (default: limited by cores and memory).
        scheduler: Dask cluster, tcp://HOST:8786, or local:N for N local workers.
        progress: how to show progress; bar is on stderr, json on stdout.

    Returns:
        The derivatives dataset, with a list of the visits that could not be prepared.

    Raises:
        BadInput: the data, the grid or the output folder cannot be used.

    Example:
        python -m TrainingCore.preprocess --data hospital_bids --out hospital_bids/derivatives/prepared --jobs 8
    """
    data = Path(data)
    settings = settings_of(grid, spacing, space) | (finder_settings() if find_lesions else {})
    _check_volumes(needs)
    if jobs < 0:
        raise BadInput("--jobs must be 1 or more.")
    cohort = find_visits(data, space, needs, choose, people)

    from .preprocessing import dataset
    from .reporting.qc_page import write_page

    target = Path(os.path.abspath(out))
    dataset.check_folders(data, target)
    with dataset.claimed(target):
        dataset.begin_dataset(target, cohort, settings)
        tasks = dataset.tasks_of(cohort, target, settings)
        waiting = [task for task in tasks if not dataset.up_to_date(task)]
        with Progress(progress, "Preparing") as reporter:
            for note in cohort.notes:
                reporter.say(f"note: {note}")
            for file in cohort.unused:
                reporter.say(f"not used: {file}")
            failures = _prepare_visits(waiting, len(tasks), jobs, scheduler, reporter)
            failures = [*failures, *({"visit": "", "reason": sentence} for sentence in cohort.bad_rows)]
            reporter.report("page", 0.99, "Writing the page")
            dataset.finish(target, cohort, failures)
            notes = [*cohort.notes, *(f"not used: {file}" for file in cohort.unused)]
            write_page(target, dataset.prepared_visits(target, tasks), failures, notes)
            reporter.report("page", 1.0, "Done")
            _say_end(target, tasks, waiting, failures, reporter)
    return PreparedDataset(target, len(tasks), failures)


@dataclass(frozen=True)
class PreparedDataset:
    """Derivatives dataset written by `preprocess`.

    Attributes:
        path: folder of the dataset.
        visits: number of visits to prepare, including failures.
        failures: {visit, reason} of every visit or table row that could not be prepared.
    """

    path: Path
    visits: int
    failures: list[dict[str, str]]

    @property
    def page(self) -> Path:
        """qc.html, the page for visual quality control of every case."""
        return self.path / "qc.html"


def finder_settings() -> dict[str, Any]:
    """Name and weights of the lesion finder, as settings of the dataset. Raises BadInput if it is not installed."""
    from .patient.lesion_finding import open_finder

    bundle = open_finder(LESION_FINDER)
    if bundle is None:
        raise BadInput("This copy of MyelinSynth comes without the lesion finder. Leave out --find-lesions.")
    return {"lesion_finder": LESION_FINDER, "lesion_finder_weights": bundle.sha256_of_results}


def settings_of(grid: str, spacing: float | None, space: str) -> dict[str, Any]:
    """Settings that determine the prepared images.

    Args:
        grid: `N` or `IxJxK` voxels, or `own`.
        spacing: voxel size in mm, or None for the default.
        space: t1w or pet.

    Returns:
        JSON-ready settings: space, grid (list of three or `own`), spacing_mm.

    Raises:
        BadInput: grid or spacing is invalid.
    """
    shape: list[int] = []
    if grid != "own":
        match = re.fullmatch(r"(\d+)(?:x(\d+)x(\d+))?", grid)
        shape = [int(n or match[1]) for n in match.groups()] if match else []
        if not shape or not all(16 <= n <= 512 for n in shape):
            raise BadInput(f"--grid {grid} is invalid. Use N, IxJxK (16 to 512 voxels along each axis) or own.")
        spacing = spacing or FIELD_OF_VIEW_MM / max(shape)
        if not 0.2 <= spacing <= 10:
            raise BadInput(f"A voxel size of {spacing:g} mm is out of range. Give --spacing between 0.2 and 10 mm.")
    elif spacing:
        raise BadInput("--grid own keeps the voxel size of the image. Leave out --spacing, or give --grid in voxels.")
    return {"space": space, "grid": shape or grid, "spacing_mm": spacing}


def _check_volumes(needs: Sequence[str]) -> None:
    """Raise BadInput for an unknown volume name."""
    unknown = sorted(set(needs) - set(VOLUME_NAMES))
    if unknown:
        raise BadInput(f"--needs {' '.join(unknown)}: unknown volume. Use {', '.join(VOLUME_NAMES)}.")


def find_visits(data: Path, space: str, needs: Sequence[str], choose: Sequence[str], people: Sequence[str]) -> Cohort:
    """Find the visits to prepare.

    Args:
        data: BIDS folder or .csv table.
        space: t1w or pet; pet needs a DVR map.
        needs: volumes that a visit must have.
        choose: entities that select among several images, e.g. run-1.
        people: labels of the people to keep, with or without sub-; all if empty.

    Returns:
        Cohort with the visits to prepare and notes about the others.

    Raises:
        BadInput: no visit is left, or a person does not exist.
    """
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
    """Mark visits without an image that can serve as registration reference as incomplete."""
    unusable = [visit for visit in cohort.visits if reference_of(visit.files) is None]
    cohort.visits = [visit for visit in cohort.visits if reference_of(visit.files) is not None]
    cohort.incomplete += unusable
    cohort.notes += [f"{visit.label} has no {' and no '.join(map(word_of, REFERENCES))}" for visit in unusable]


def _without_t1w_or_flair(visit: Visit) -> list[str]:
    """Notes about the consequences of a missing T1w or FLAIR."""
    reference = reference_of(visit.files)
    if reference == "t1w":
        return [] if "flair" in visit.files else [f"{visit.label} has no FLAIR; the other images were prepared"]
    segmented = "label_map" in visit.files or {"white_matter", "grey_matter"} <= set(visit.files)
    lost = "" if segmented else "; it has no tissue masks"
    return [f"{visit.label} has no T1w: its images were registered to its {word_of(reference or '')}{lost}"]


def _prepare_visits(
    waiting: Sequence[Any], of: int, jobs: int, scheduler: str | None, progress: Progress
) -> list[dict[str, str]]:
    """Prepare visits and report progress.

    Args:
        waiting: tasks of the visits still to prepare.
        of: number of all visits, including those already prepared.
        jobs: parallel processes; 0 for as many as cores and memory allow.
        scheduler: address of a Dask cluster, or None.
        progress: reports progress, warnings and failures as they occur.

    Returns:
        {visit, reason} of every failed visit.

    Raises:
        MyelinSynthError: continuing is pointless, for example because the disk is full.
    """
    from .runtime.errors import MyelinSynthError

    failures = []
    done = of - len(waiting)
    progress.report("prepare", done / of, f"{done} of {of} visits already prepared" if done else f"{of} visits")
    for outcome in _outcomes_of(waiting, jobs, scheduler):
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


def _outcomes_of(waiting: Sequence[Any], jobs: int, scheduler: str | None) -> Iterator[Any]:
    """Prepare the visits on this machine or on a Dask cluster and yield an outcome per visit."""
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
    """Number of visits to prepare in parallel: one per core, limited by free memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    except (AttributeError, ValueError, OSError):
        return cores  # the system does not report free memory
    return max(min(cores, int(free / JOB_GB)), 1)


def _say_end(
    out: Path, tasks: Sequence[Any], waiting: Sequence[Any], failures: Sequence[dict[str, str]], progress: Progress
) -> None:
    """Print a summary and the failures of table rows, which have not been reported yet."""
    unchanged = len(tasks) - len(waiting)
    failed = sum(1 for failure in failures if failure["visit"])
    prepared = len(waiting) - failed
    visits = "visit" if prepared == 1 else "visits"
    text = f"{prepared} {visits} prepared, {unchanged} unchanged, {len(failures)} failed."
    progress.say(f"{text} For quality control, open {out / 'qc.html'}")
    for failure in failures:
        if not failure["visit"]:
            progress.say(f"  {failure['reason']}")


main = command(preprocess, code=lambda dataset: 1 if dataset.failures else 0)

if __name__ == "__main__":
    raise SystemExit(run_command(main))

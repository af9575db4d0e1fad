"""Synthesize myelin maps for a whole BIDS dataset and analyse them at group level (BIDS App)."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from .data.bundle import DEMONSTRATION, LESION_FINDER, Bundle
from .data.case import VOLUME_NAMES
from .data.cohort import Cohort
from .data.cohort_bids import CHOOSE
from .runtime.cli import Progress, run_command
from .runtime.errors import BadInput, MyelinSynthError
from .runtime.files import read_json
from .runtime.signature import AtLeast, Option, ProgressMode, command


def bids_app(
    bids_dir: Annotated[Path, Option("BIDS_DIR", positional=True)],
    out_dir: Annotated[Path, Option("OUT_DIR", positional=True)],
    analysis_level: Annotated[Literal["participant", "group"], Option(positional=True)],
    *,
    participant_label: Annotated[Sequence[str], Option("LABEL")] = (),
    session_label: Annotated[Sequence[str], Option("LABEL")] = (),
    bids_filter_file: Annotated[Path | None, Option("FILE")] = None,
    model: Annotated[str, Option("BUNDLE")] = DEMONSTRATION,
    lesion_finder: Annotated[str, Option("BUNDLE|none")] = LESION_FINDER,
    uncertainty: bool = False,
    viewer: bool = False,
    dicom: bool = False,
    dicom_reference: Annotated[Path | None, Option("FOLDER")] = None,
    n_procs: Annotated[int, AtLeast(0)] = 0,
    scheduler: Annotated[str | None, Option("ADDRESS")] = None,
    device: str = "auto",
    outcome: Annotated[Sequence[str], Option("COLUMN")] = (),
    covariate: Annotated[Sequence[str], Option("COLUMN")] = (),
    seed: Annotated[int, AtLeast(0)] = 0,
    progress: ProgressMode = "bar",
) -> StudyDataset:
    """Run MyelinSynth over a BIDS dataset, as a BIDS App.

    participant: writes a synthetic DVR map, a lesion table and a report for every visit with T1w and FLAIR, as BIDS
    derivatives. Masks and label maps in derivatives/ are used. Consecutive sessions of a person are compared (see
    change). Run the same command again to resume.

    group: writes one table of all visits and a report with distributions, outliers, failures and associations with
    columns of participants.tsv and sessions.tsv. Research use only, not for diagnosis.

    Args:
        bids_dir: BIDS dataset with raw MRI.
        out_dir: derivatives dataset to write; reuse it to resume.
        analysis_level: participant for the maps, group for the table and the statistics.
        participant_label: only these participants, with or without sub-.
        session_label: only these sessions, with or without ses-.
        bids_filter_file: JSON file that selects among several images, e.g. {"t1w": {"acquisition": "mprage"}}.
        model: bundle folder, .zip or name.
        lesion_finder: model that segments lesions in visits without a lesion mask; none to skip this.
        uncertainty: also estimate the error of maps and lesions.
        viewer: also write viewer.html into every Result, to review the map in a browser without Slicer.
        dicom: also write map, lesions and table of every visit as DICOM, with the patient's identity, derived from the
            T1w series in BIDS_DIR/sourcedata/sub-01/ses-1. Visits without their series keep their map and are listed.
        dicom_reference: folder with the DICOM, laid out like sourcedata; implies --dicom.
        n_procs: parallel processes (default: limited by cores and memory).
        scheduler: Dask cluster, tcp://HOST:8786, or local:N for N local workers.
        device: auto (a GPU if there is one), cpu or cuda:N.
        outcome: group level; columns to test for association with the maps, e.g. edss.
        covariate: group level; columns to adjust for, e.g. age sex site.
        seed: group level; seed of the bootstrap (default: 0).
        progress: how to show progress; bar is on stderr, json on stdout.

    Returns:
        The derivatives dataset, with a list of the visits that have no map.

    Raises:
        BadInput: the dataset, a label or a column does not exist, or the output folder holds other files.

    Example:
        python -m TrainingCore.bids_app hospital hospital/derivatives/myelinsynth participant --n-procs 4
        python -m TrainingCore.bids_app hospital hospital/derivatives/myelinsynth group \
            --outcome edss --covariate age sex
    """
    from .study import dataset

    data, out = Path(bids_dir), Path(os.path.abspath(out_dir))
    if not data.is_dir():
        raise BadInput(f"There is no folder {data}. Give the folder of a BIDS dataset.")
    dataset.check_study_folder(data, out)
    if analysis_level == "group":
        from .study.group import analyse

        return StudyDataset(
            out, analyse(data, out, list(outcome), list(covariate), seed), dataset.visits_without_map(out)
        )
    chosen = _read_filters(bids_filter_file)
    _check_filters(data, chosen)
    cohort = Cohort.scan(data, raw=True, needs=["t1w", "flair"], choose=chosen)
    visits = dataset.select_visits(cohort, participant_label, session_label)
    finder = None if lesion_finder == "none" else str(lesion_finder)
    _check_models(str(model), finder)
    _check_device(device, scheduler)
    dataset.begin_study(data, out)
    dataset.write_worklist(cohort, out)
    source = _dicom_source(data, dicom, dicom_reference)
    tasks = dataset.study_tasks(visits, out, str(model), device, uncertainty, viewer, finder, source)
    with Progress(progress, "bids_app") as reporter:
        for note in cohort.notes:
            reporter.note(note.replace(CHOOSE, "--bids-filter-file takes another"))
        for file in cohort.unused:
            reporter.note(f"not used: {file}")
        for row in dataset.without_t1w(visits):
            dataset.note_failure(out, row["visit"], row["reason"])
        notes = _run(tasks, out, n_procs, scheduler, reporter)
        notes += _compare_sessions(tasks, data, out, reporter)
        left = [row for row in dataset.visits_without_map(out) if row["visit"] in {visit.label for visit in visits}]
        reporter.say(f"{len(visits) - len(left)} of {len(visits)} visits have a map in {out}.")
        for row in left:
            reporter.say(f"  {row['visit']}: {row['reason']}")
        for note in notes:
            reporter.say(f"  {note}")
        reporter.report("done", 1.0, "Done")
    return StudyDataset(out, None, left, notes)


@dataclass(frozen=True)
class StudyDataset:
    """Derivatives dataset written by `bids_app`.

    Attributes:
        path: folder of the dataset.
        page: group report, or None at participant level.
        failures: {visit, reason} of every visit without a map.
        notes: sentences about visits that have a map, e.g. why DICOM was not written.
    """

    path: Path
    page: Path | None
    failures: list[dict[str, str]]
    notes: list[str] = field(default_factory=list)


def _dicom_source(data: Path, dicom: bool, reference: Path | None) -> Path | None:
    """Folder with the DICOM of all visits, or None for no DICOM output; raises BadInput if it does not exist."""
    if not dicom and reference is None:
        return None
    from .reporting.dicom.needs import check_installed
    from .study.dicom_sources import SOURCEDATA

    check_installed("highdicom", "DICOM output")
    source = data / SOURCEDATA if reference is None else Path(reference)
    if not source.is_dir():
        raise BadInput(f"There is no folder {source}. Give the folder with the DICOM series with --dicom-reference.")
    return source


def _read_filters(path: Path | None) -> list[str]:
    """Read a BIDS filter file.

    Args:
        path: JSON file, or None for no filter.

    Returns:
        Entities with the image that they are for, such as `t1w:acq-mprage` or `flair:run-1`.

    Raises:
        BadInput: the file is not a BIDS filter file, or names an unknown image or entity.
    """
    if path is None:
        return []
    content = read_json(Path(path))
    short = {"acquisition": "acq", "reconstruction": "rec", "run": "run", "ceagent": "ce", "direction": "dir"}
    if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
        raise BadInput(f'{path} is not a BIDS filter file. Example: {{"t1w": {{"acquisition": "mprage"}}}}.')
    images = sorted(set(map(str.lower, content)) - set(VOLUME_NAMES))
    if images:
        raise BadInput(f"{path}: unknown image {images[0]!r}. Use t1w, flair, t2w, ...")
    triples = [(image.lower(), key, value) for image, entry in content.items() for key, value in entry.items()]
    unknown = sorted({key for _, key, _ in triples} - set(short) - {"datatype", "suffix", "extension"})
    if unknown:
        raise BadInput(
            f"{path}: unknown entity {unknown[0]!r}. Use {', '.join(short)}; people and sessions are chosen with "
            "--participant-label and --session-label."
        )
    return [
        f"{image}:{short[key]}-{value}"
        for image, key, values in triples
        if key in short
        for value in (values if isinstance(values, list) else [values])
    ]


def _check_filters(data: Path, chosen: Sequence[str]) -> None:
    """Raise BadInput for a filter that no image of the dataset has: it would be ignored without a word."""
    for choice in chosen:
        entity = choice.partition(":")[2]
        if not any(data.glob(f"sub-*/**/*_{glob.escape(entity)}_*")):
            raise BadInput(f"No image in {data} has {entity}. Correct --bids-filter-file.")


def _check_models(model: str, finder: str | None) -> None:
    """Raise BadInput for a model that cannot be used, before every visit fails for it."""
    from .patient.lesion_finding import open_finder

    if Bundle.open(model).description["output"] != "dvr":
        raise BadInput(f"The model {model} synthesizes no myelin map. Give another --model.")
    if finder is not None:
        open_finder(finder)


def _check_device(device: str, scheduler: str | None) -> None:
    """Raise BadInput for a device that does not exist, before every visit fails for it.

    The workers of a cluster may have GPUs that this machine lacks.
    """
    if device in ("auto", "cpu") or (_is_elsewhere(scheduler) and re.fullmatch(r"cuda(:\d+)?", device)):
        return
    from .runtime.processes import choose_device

    choose_device(device)


def _is_elsewhere(scheduler: str | None) -> bool:
    """Whether a cluster of its own does the work, perhaps on other machines."""
    return scheduler is not None and not scheduler.startswith("local:")


def _run(tasks: Sequence[Any], out: Path, n_procs: int, scheduler: str | None, progress: Progress) -> list[str]:
    """Synthesize every visit and record each failure at once; returns notes about visits that have a map.

    If it is stopped, or the disk is full, it removes the temporary files of its child processes, which are killed.
    Workers of a cluster elsewhere finish the visits that they have begun.

    Raises:
        MyelinSynthError: the disk is full.
    """
    from .study.dataset import remove_unfinished_visits

    outcomes = _outcomes(tasks, n_procs, scheduler)
    try:
        return _record(outcomes, len(tasks), out, progress)
    except BaseException:
        outcomes.close()  # ends the child processes
        if not _is_elsewhere(scheduler):
            remove_unfinished_visits(tasks)
        raise


def _record(outcomes: Iterator[Any], count: int, out: Path, progress: Progress) -> list[str]:
    """Record and report the outcome of every visit; see `_run`."""
    from .study.dataset import note_failure

    notes: list[str] = []
    for done, outcome in enumerate(outcomes, start=1):
        failed = outcome.state == "failed"
        note_failure(out, outcome.label, outcome.sentence if failed else "")
        if failed:
            progress.say(f"failed: {outcome.label}: {outcome.sentence}")
        for warning in outcome.warnings:
            progress.say(f"Warning: {outcome.label}: {warning}")
        notes += outcome.notes
        took = f", {outcome.seconds:.0f} s" if outcome.seconds else ""
        progress.report("synthesize", done / count, f"{outcome.label} {outcome.state} ({done} of {count}{took})")
        if outcome.fatal:
            raise MyelinSynthError(f"{outcome.sentence} Nothing half-written is left; run again to resume.")
    return sorted(notes)


def _compare_sessions(tasks: Sequence[Any], data: Path, out: Path, progress: Progress) -> list[str]:
    """Compare consecutive sessions of each person where both have a map, unless the comparison is up to date.

    Returns notes about people whose sessions have no known order.
    """
    from .change import change
    from .data.change_result import is_complete
    from .runtime.files import write_json
    from .study.dataset import note_failure
    from .study.sessions import MADE_FROM, session_pairs

    notes: list[str] = []
    pairs = list(session_pairs(tasks, data, notes.append))
    for done, pair in enumerate(pairs, start=1):
        made_from = pair.folder / MADE_FROM
        keys = pair.keys()
        if made_from.is_file() and read_json(made_from) == keys and is_complete(pair.folder):
            continue
        progress.report("compare", done / len(pairs), f"Comparing {pair.label} ({done} of {len(pairs)})")
        t1w = [Path(task.files["t1w"]) for task in (pair.before, pair.after)]
        try:
            compared = change(*pair.results(), pair.folder, before_t1=t1w[0], after_t1=t1w[1], progress="silent")
            write_json(made_from, keys)
            for warning in compared.summary()["warnings"]:
                progress.say(f"Warning: {warning}")
            note_failure(out, pair.label, "")
        except MyelinSynthError as error:
            note_failure(out, pair.label, f"The sessions could not be compared: {error}")
            progress.say(f"failed: {pair.label}: {error}")
    return notes


def _outcomes(tasks: Sequence[Any], n_procs: int, scheduler: str | None) -> Generator[Any, None, None]:
    """Synthesize the visits on this machine or a cluster and yield outcomes; each process loads the model once."""
    from .preprocess import jobs_that_fit
    from .preprocessing.schedulers import on_a_cluster, on_this_machine
    from .study.visit_task import synthesize_bids_visit

    if not tasks:
        return
    if scheduler:
        yield from on_a_cluster(tasks, scheduler, synthesize_bids_visit)
        return
    jobs = min(n_procs or jobs_that_fit(), len(tasks))
    threads = max((os.cpu_count() or 1) // jobs, 1)
    yield from on_this_machine([replace(task, threads=threads) for task in tasks], jobs, synthesize_bids_visit)


def _done(dataset: StudyDataset) -> str:
    return f"Group report: {dataset.page}" if dataset.page else f"Maps: {dataset.path}"


main = command(bids_app, done=_done, code=lambda dataset: 1 if dataset.failures and dataset.page is None else 0)

if __name__ == "__main__":
    raise SystemExit(run_command(main))

"""Derivatives dataset of `preprocess`: folder, description and pending visits."""

from __future__ import annotations

import contextlib
import csv
import io
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import RESEARCH_USE, __version__
from ..data.case import is_simulated
from ..data.cohort import Cohort
from ..data.cohort_bids import PREPARED_BY, made_by_preprocess, participants
from ..data.visit import Visit
from ..patient.leftovers import CLAIM, claim
from ..reporting.qc_page import PAGE, PreparedVisit
from ..runtime.errors import BadInput
from ..runtime.files import PARTIAL_SUFFIX, make_writable, remove_partials, write_json, write_text
from . import names
from .records import code_version, outputs_intact, read_record, record_key, untouched
from .worker import WORK, PreparationJob

FAILURES = "failures.json"
DESCRIPTION = "dataset_description.json"
README = f"""{RESEARCH_USE}

Aligned cases written by MyelinSynth {__version__} (python -m TrainingCore.preprocess): MRI without bias field, brain,
tissue and lesion masks, transforms (ITK), one grid per visit. {PAGE} shows every case, outliers first: look at it
before training. {FAILURES} lists what was not prepared. *_desc-preproc_record.json records how a visit was prepared
and the hashes of its inputs. label-lesion_probseg holds the lesional share of each voxel, which keeps the volume and
centre of every lesion; label-lesion_mask is the same in whole voxels.
"""


def check_folders(data: Path, out: Path) -> None:
    """Check that the output folder may be used.

    Args:
        data: input folder or table.
        out: output folder; it need not exist.

    Raises:
        BadInput: input and output lie inside each other (except below derivatives/), or `out` holds files that
            `preprocess` did not write.
    """
    source, target = data.resolve(), out.resolve()
    root = source if source.is_dir() else None
    if root is not None and root.is_relative_to(target):
        raise BadInput(f"The output folder {out} holds the input {data}. Choose another --out.")
    if root is not None and target.is_relative_to(root) and "derivatives" not in target.relative_to(root).parts[:1]:
        raise BadInput(
            f"{out} lies inside the input. Choose a folder elsewhere, or {data / 'derivatives' / 'prepared'}."
        )
    if root is not None and target == root / "derivatives":
        raise BadInput(f"{out} is a folder of datasets, not a dataset. Choose {out / 'prepared'}.")
    if out.is_file():
        raise BadInput(f"{out} is a file. Choose a folder with --out.")
    strange = [path for path in out.iterdir() if path.name not in (WORK, CLAIM)] if out.is_dir() else []
    if not made_by_preprocess(out) and any(PARTIAL_SUFFIX not in path.name for path in strange):
        raise BadInput(f"{out} is not empty and was not written by preprocess. Choose an empty folder with --out.")


@contextlib.contextmanager
def claimed(out: Path) -> Iterator[None]:
    """Lock the dataset for this process during the block, and remove what killed runs left in it.

    Args:
        out: folder of the dataset; created if it does not exist.

    Raises:
        BadInput: the folder is not writable, or another process is using it.
    """
    make_writable(out)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(claim(out))
        except OSError as error:
            raise BadInput(f"Another preprocess is writing to {out}. Wait for it, or choose another --out.") from error
        _clear(out)  # left by a killed run: this process holds the lock
        try:
            yield
        finally:
            _clear(out)  # left by killed child processes
            (out / CLAIM).unlink(missing_ok=True)


def _clear(out: Path) -> None:
    shutil.rmtree(out / WORK, ignore_errors=True)
    remove_partials(out)


def begin_dataset(out: Path, cohort: Cohort, settings: Mapping[str, Any]) -> None:
    """Write the description and the README of the dataset.

    Visits that were prepared before and are no longer in the input are kept and noted.

    Args:
        out: folder of the dataset.
        cohort: the input; `notes` is extended.
        settings: settings that affect the result (space, grid, spacing_mm).
    """
    about = {
        "Name": "Aligned cases for MyelinSynth",
        "BIDSVersion": "1.9.0",
        "DatasetType": "derivative",
        "GeneratedBy": [
            {"Name": PREPARED_BY, "Version": __version__, "Description": RESEARCH_USE, **_in_words(settings)}
        ],
    }
    write_json(out / DESCRIPTION, about)
    write_text(out / "README", README)
    labels = {visit.label for visit in [*cohort.visits, *cohort.incomplete]}
    old = sorted(path.name.split("_desc-")[0] for path in out.glob(f"sub-*/**/*_{names.RECORD_ENDING}"))
    for label in old:
        if label not in labels:
            cohort.notes.append(f"{label} was prepared before and is no longer in the input; it was left as it is")


def _in_words(settings: Mapping[str, Any]) -> dict[str, Any]:
    grid = settings["grid"] if settings["grid"] == "own" else "x".join(str(n) for n in settings["grid"])
    return {"Space": settings["space"], "Grid": grid, "SpacingMm": settings["spacing_mm"]}


def tasks_of(cohort: Cohort, out: Path, settings: Mapping[str, Any]) -> list[PreparationJob]:
    """Create one job per complete visit.

    Args:
        cohort: the input.
        out: folder of the dataset.
        settings: settings that affect the result (space, grid, spacing_mm).

    Returns:
        Jobs with absolute paths, in the order of the visits.
    """
    tasks = []
    for visit in cohort.visits:
        tasks.append(
            PreparationJob(
                person=visit.person,
                visit=visit.visit,
                files={name: str(path.absolute()) for name, path in visit.files.items()},
                spaces=dict(visit.spaces),
                transforms={
                    name: transform if transform == "identity" else str(Path(transform).absolute())
                    for name, transform in visit.transforms.items()
                },
                settings=dict(settings),
                out=str(out),
                simulated=is_simulated(visit.info),
                code=code_version(),
            )
        )
    return tasks


def up_to_date(task: PreparationJob) -> bool:
    """Check whether a visit is complete and its inputs, settings and code are unchanged.

    Args:
        task: the visit; its files are only read again if their size or times changed.
    """
    out = Path(task.out)
    record = read_record(out / names.record_path(task.person, task.visit))
    if record is None or not untouched(task.inputs(), record):
        return False
    return record["key"] == record_key(record["inputs"], task.all_settings()) and outputs_intact(out, record["outputs"])


def prepared_visits(out: Path, tasks: Sequence[PreparationJob]) -> list[PreparedVisit]:
    """List the complete visits for the quality-control page.

    Args:
        out: folder of the dataset.
        tasks: visits of this run.

    Returns:
        Visits with a record, in the order of the tasks.
    """
    visits = []
    for task in tasks:
        record = read_record(out / names.record_path(task.person, task.visit))
        if record is not None:
            picture = out / names.figure_path(task.person, task.visit)
            simulated = record.get("simulated", False)
            visits.append(PreparedVisit(task.label, record["measures"], record["warnings"], picture, simulated))
    return visits


def finish(out: Path, cohort: Cohort, failures: Sequence[Mapping[str, str]]) -> None:
    """Write failures.json, participants.tsv, and *_sessions.tsv if a column differs between a person's visits.

    Args:
        out: folder of the dataset; people of earlier runs keep their rows.
        cohort: the input.
        failures: visit and reason of every visit that was not prepared.
    """
    write_json(out / FAILURES, list(failures))
    people = participants(out / "participants.tsv")  # of earlier runs over other people
    sessions: dict[str, list[Visit]] = {}
    for visit in cohort.visits:
        sessions.setdefault(visit.person, []).append(visit)
    for person, visits in sessions.items():
        shared = set.intersection(*(set(visit.info.items()) for visit in visits))
        people[person] = dict(sorted(shared))
        own = sorted({column for visit in visits for column in visit.info} - set(people[person]))
        path = out / f"sub-{person}" / f"sub-{person}_sessions.tsv"
        if own and path.parent.is_dir():
            rows = [[f"ses-{visit.visit}", *(visit.info.get(column) or "n/a" for column in own)] for visit in visits]
            write_text(path, _table(["session_id", *own], rows))
        else:
            path.unlink(missing_ok=True)
    columns = sorted({column for row in people.values() for column in row})
    rows = [
        [f"sub-{person}", *(people[person].get(column) or "n/a" for column in columns)] for person in sorted(people)
    ]
    write_text(out / "participants.tsv", _table(["participant_id", *columns], rows))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return stream.getvalue()

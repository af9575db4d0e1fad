"""Derivatives dataset of `bids_app`: location, description, pending visits and failures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .. import RESEARCH_USE, __version__
from ..data.case import ALL_MRI
from ..data.cohort import Cohort
from ..data.cohort_bids import SYNTHESIZED_BY
from ..data.visit import Visit
from ..patient.leftovers import remove_leftovers
from ..runtime.errors import BadInput
from ..runtime.files import make_writable, read_json, remove_partials, write_json, write_text
from .dicom_sources import dicom_of_visit
from .names import CHANGES, RESULTS, result_path, visit_folder
from .visit_task import VisitTask

GENERATOR = SYNTHESIZED_BY
DESCRIPTION, LOGS, WORKLIST = "dataset_description.json", "logs", "worklist.json"
REVIEWED = ("t1w", "flair", "lesions", "dvr", "brain")  # what Slicer loads of a visit
USED = (*ALL_MRI, "lesions", "dvr", "brain", "label_map")
# What BIDS has no name for yet; PET maps (mimap) are those of the derivatives proposal, BEP 23. A folder needs both
# lines for bids-validator 3.0 to pass over it.
NOT_IN_BIDS = (
    *(pattern for folder in (RESULTS, CHANGES, LOGS) for pattern in (folder, f"{folder}/**")),
    *("group*", "*_record.json", "*_xfm.tfm", "*_morph.tsv", "*_mimap.nii.gz", "*_mimap.json"),
)
README = f"""{RESEARCH_USE}

Synthetic [11C]PiB DVR maps made from MRI by MyelinSynth {__version__} (python -m TrainingCore.bids_app). desc-synthetic
says that a map was not measured by PET. {RESULTS}/ holds the complete Result folder of every visit, which 3D Slicer
opens; the BIDS files are the same bytes. {LOGS}/ says which visits have no map, and why. group.html is written by
the group level.
"""


def check_study_folder(data: Path, out: Path) -> None:
    """Check that a dataset can be written to a folder.

    Args:
        data: BIDS dataset of the MRI.
        out: folder of the derivatives dataset, which may not exist yet.

    Raises:
        BadInput: `out` contains the input, is a file, or holds other files.
    """
    if out.resolve() == data.resolve() or data.resolve().is_relative_to(out.resolve()):
        raise BadInput(f"The output folder {out} holds the input {data}. Choose another one.")
    if out.is_file():
        raise BadInput(f"{out} is a file. Choose a folder.")
    visible = [path for path in out.iterdir() if not path.name.startswith(".")] if out.is_dir() else []
    if visible and not written_by_bids_app(out):
        raise BadInput(f"{out} is not empty and was not written by bids_app. Choose an empty folder.")


def written_by_bids_app(out: Path) -> bool:
    """Check whether a dataset was written by `bids_app`.

    Args:
        out: any folder.

    Returns:
        True if its description says so.
    """
    try:
        return bool(read_json(out / DESCRIPTION)["GeneratedBy"][0]["Name"] == GENERATOR)
    except (BadInput, KeyError, IndexError, TypeError):
        return False


def begin_study(data: Path, out: Path) -> None:
    """Write the description of the dataset; every job writes identical files.

    Args:
        data: BIDS dataset of the MRI.
        out: folder of the derivatives dataset.
    """
    make_writable(out)
    about = {
        "Name": "Synthetic PiB DVR maps",
        "BIDSVersion": "1.9.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": GENERATOR, "Version": __version__, "Description": RESEARCH_USE}],
        "SourceDatasets": [{"URL": data.resolve().name}],
        "DatasetLinks": {"raw": data.resolve().name},
    }
    if not written_by_bids_app(out):
        write_json(out / DESCRIPTION, about)
        write_text(out / "README", README)
        write_text(out / ".bidsignore", "\n".join(NOT_IN_BIDS) + "\n")


def select_visits(cohort: Cohort, people: Sequence[str], sessions: Sequence[str]) -> list[Visit]:
    """Select visits by label.

    Args:
        cohort: the dataset.
        people: labels of people, with or without sub-; all if empty.
        sessions: labels of sessions, with or without ses-; all if empty.

    Returns:
        The selected visits.

    Raises:
        BadInput: a label does not exist, or no visit is left.
    """
    every = [*cohort.visits, *cohort.incomplete]
    if not every:
        raise BadInput(
            f"{cohort.path} has no T1w and no FLAIR in sub-*/anat or sub-*/ses-*/anat. Choose a BIDS dataset."
        )
    chosen = {label.removeprefix("sub-") for label in people}, {label.removeprefix("ses-") for label in sessions}
    for option, labels, known in (
        ("--participant-label", chosen[0], {visit.person for visit in every}),
        ("--session-label", chosen[1], {visit.visit for visit in every}),
    ):
        missing = sorted(labels - known)
        if missing:
            raise BadInput(f"{cohort.path} has no {missing[0]!r}. Check {option}.")
    visits = [v for v in every if (not chosen[0] or v.person in chosen[0]) and (not chosen[1] or v.visit in chosen[1])]
    if not visits:
        raise BadInput(f"{cohort.path} has no such visit. Check --participant-label and --session-label.")
    return visits


def write_worklist(cohort: Cohort, out: Path) -> None:
    """Write the worklist of all visits and their images, with which Slicer opens the Results for review.

    Every job writes identical files, because the list includes the visits of other jobs.

    Args:
        cohort: all visits of the input dataset.
        out: folder of the derivatives dataset.
    """
    listed = {
        visit.label: {
            "files": {name: str(visit.files[name].absolute()) for name in REVIEWED if name in visit.files},
            "flair_to_t1": "identity" if visit.spaces.get("flair") == "T1w" else None,
            "result": visit.label,
        }
        for visit in cohort.visits
    }
    (out / RESULTS).mkdir(exist_ok=True)
    write_json(out / RESULTS / WORKLIST, listed)


def study_tasks(
    visits: Sequence[Visit],
    out: Path,
    model: str,
    device: str,
    uncertainty: bool,
    viewer: bool = False,
    lesion_finder: str | None = None,
    dicom: Path | None = None,
) -> list[VisitTask]:
    """Make one task for every visit with a T1w.

    Args:
        visits: visits of the input dataset.
        out: folder of the derivatives dataset, absolute.
        model: folder, .zip or name of a bundle.
        device: `auto`, `cpu`, `cuda`, ...
        uncertainty: also write the uncertainty map.
        viewer: also write viewer.html.
        lesion_finder: bundle that segments the lesions of visits without a mask, or None.
        dicom: folder with the DICOM of all visits (see `dicom_of_visit`), or None for no DICOM output.

    Returns:
        Tasks with absolute paths.
    """
    return [
        VisitTask(
            visit.person,
            visit.visit,
            {name: str(path.absolute()) for name, path in visit.files.items() if name in USED},
            dict(visit.spaces),
            model,
            device,
            uncertainty,
            str(out),
            viewer=viewer,
            lesion_finder=None if "lesions" in visit.files else lesion_finder,
            dicom=None if dicom is None else str(dicom_of_visit(dicom, visit.person, visit.visit).absolute()),
        )
        for visit in visits
        if "t1w" in visit.files
    ]


def remove_unfinished_visits(tasks: Sequence[VisitTask]) -> None:
    """Remove the temporary files of child processes that were terminated while they worked on visits.

    Args:
        tasks: visits on which no child process of this run works any more.
    """
    for task in tasks:
        out = Path(task.out)
        remove_leftovers(out / result_path(task.person, task.visit), unclaimed_seconds=0)
        remove_partials(out / visit_folder(task.person, task.visit))


def without_t1w(visits: Sequence[Visit]) -> list[dict[str, str]]:
    """List the visits that cannot be synthesized at all.

    Args:
        visits: visits of the input dataset.

    Returns:
        {visit, reason} of every visit without T1w.
    """
    return [{"visit": v.label, "reason": "It has no T1w."} for v in visits if "t1w" not in v.files]


def note_failure(out: Path, label: str, reason: str) -> None:
    """Record why a visit has no map, or remove the record; one file per visit needs no lock.

    Args:
        out: folder of the derivatives dataset.
        label: label of the visit, e.g. `sub-01_ses-1`.
        reason: one sentence; empty to remove the record.
    """
    path = out / LOGS / f"{label}.json"
    if reason:
        write_json(path, {"visit": label, "reason": reason})
    else:
        path.unlink(missing_ok=True)


def visits_without_map(out: Path) -> list[dict[str, str]]:
    """List all visits without a map, over all jobs so far.

    Args:
        out: folder of the derivatives dataset.

    Returns:
        {visit, reason} of each.
    """
    return [read_json(path) for path in sorted((out / LOGS).glob("*.json"))]

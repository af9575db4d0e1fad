"""Visits of a study that the group level leaves out, with the reason: a stale map must not count."""

from __future__ import annotations

from pathlib import Path

from .dataset import visits_without_map
from .names import RESULTS, result_record_path, visit_folder

INCOMPLETE = "Its map is incomplete. Run the participant level again."
REMOVED = "It was removed from the dataset, so its map is left out."


def left_out(data: Path, out: Path) -> dict[str, str]:
    """List the visits without a map, and those whose Result is stale.

    A Result is stale if the last attempt to synthesize its visit failed or was interrupted, or if the visit was removed
    from the dataset, e.g. because consent was withdrawn. A dataset without any of the visits is taken for a copy that
    holds only the tables.

    Args:
        data: BIDS dataset of the MRI.
        out: derivatives dataset.

    Returns:
        Reason by label of the visit.
    """
    reasons = {row["visit"]: row["reason"] for row in visits_without_map(out)}
    labels = [folder.name for folder in sorted((out / RESULTS).glob("sub-*")) if folder.is_dir()]
    removed = [label for label in labels if not _is_in(data, *label_parts(label))]
    for label in labels:
        if label in removed and len(removed) < len(labels):
            reasons[label] = REMOVED
        elif label not in reasons and not (out / result_record_path(*label_parts(label))).is_file():
            reasons[label] = INCOMPLETE
    return dict(sorted(reasons.items()))


def label_parts(label: str) -> tuple[str, str]:
    """Split the label of a visit.

    Args:
        label: `sub-01_ses-1` or `sub-01`.

    Returns:
        Labels of person and session without their prefixes; the session is empty if there is none.
    """
    person, _, visit = label.removeprefix("sub-").partition("_ses-")
    return person, visit


def _is_in(data: Path, person: str, visit: str) -> bool:
    """Whether the dataset still has the folder of a visit; a person may have sessions in file names only."""
    folder = data / f"sub-{person}"
    return (data / visit_folder(person, visit)).is_dir() or (folder.is_dir() and not any(folder.glob("ses-*")))

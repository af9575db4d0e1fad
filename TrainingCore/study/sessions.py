"""Comparison of consecutive sessions of a person in a dataset of `bids_app`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ..data.review import REVIEW
from ..runtime.files import read_json, sha256
from .names import CHANGES, result_path, result_record_path
from .visit_task import VisitTask

SOURCE, MADE_FROM = "change.json", "made_from.json"


@dataclass(frozen=True)
class Pair:
    """Two consecutive sessions of a person, both with a map."""

    before: VisitTask
    after: VisitTask

    @property
    def label(self) -> str:
        """Name of the comparison, e.g. `sub-01_ses-1_ses-2`."""
        return f"{self.before.label}_ses-{self.after.visit}"

    @property
    def folder(self) -> Path:
        """Folder of the comparison."""
        return Path(self.before.out) / CHANGES / self.label

    def results(self) -> tuple[Path, Path]:
        """The two Result folders."""
        before, after = (Path(task.out) / result_path(task.person, task.visit) for task in (self.before, self.after))
        return before, after

    def keys(self) -> str:
        """Keys of both visits, to detect outdated comparisons; see `keys_of`."""
        return keys_of(Path(self.before.out), self.before.person, (self.before.visit, self.after.visit))


def keys_of(out: Path, person: str, visits: Sequence[str]) -> str:
    """Collect what a comparison of visits depends on: the keys of their records, and the hashes of their reviews.

    Args:
        out: derivatives dataset.
        person: label without `sub-`.
        visits: session labels without `ses-`.

    Returns:
        Keys separated by spaces; a different text means that the comparison is outdated.
    """
    keys = []
    for visit in visits:
        keys.append(read_json(out / result_record_path(person, visit))["key"])
        review = out / result_path(person, visit) / REVIEW
        keys += [sha256(review)] if review.is_file() else []
    return " ".join(keys)


def session_pairs(tasks: Sequence[VisitTask]) -> Iterator[Pair]:
    """Yield consecutive sessions that both have a map, in the order of their labels.

    Args:
        tasks: tasks of all visits.

    Yields:
        Pairs, person by person.
    """
    complete = [task for task in tasks if (Path(task.out) / result_record_path(task.person, task.visit)).is_file()]
    for person in sorted({task.person for task in complete}):
        own = sorted((task for task in complete if task.person == person), key=lambda task: _natural_order(task.visit))
        yield from (Pair(first, second) for first, second in pairwise(own))


def session_before(out: Path, person: str, visit: str) -> str | None:
    """Find the session with a map that comes before another one, in the order of `session_pairs`.

    Args:
        out: derivatives dataset.
        person: label without `sub-`.
        visit: label without `ses-`.

    Returns:
        Label without `ses-`; None if there is none.
    """
    labels = [folder.name.removeprefix("ses-") for folder in (out / f"sub-{person}").glob("ses-*")]
    complete = [label for label in labels if (out / result_record_path(person, label)).is_file()]
    earlier = [label for label in complete if _natural_order(label) < _natural_order(visit)]
    return max(earlier, key=_natural_order, default=None)


def _natural_order(label: str) -> tuple[int, str]:
    """Sort key of session labels: numbers by value, other labels after them."""
    return (int(label), label) if label.isdecimal() else (10**9, label)

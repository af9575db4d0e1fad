"""Comparison of consecutive sessions of a person in a dataset of `bids_app`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..data.cohort_bids import sessions
from ..data.review import REVIEW
from ..runtime.files import read_json, sha256
from .names import CHANGES, result_path, result_record_path
from .visit_task import VisitTask

SOURCE, MADE_FROM = "change.json", "made_from.json"
ISO_DATE = re.compile(r"\d{4}-\d{2}")


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


def session_pairs(tasks: Sequence[VisitTask], data: Path, note: Callable[[str], None]) -> Iterator[Pair]:
    """Yield consecutive sessions that both have a map, in the order of `in_order`.

    Args:
        tasks: tasks of all visits.
        data: BIDS dataset, whose sessions.tsv may hold dates.
        note: receives a sentence about a person whose sessions have no known order.

    Yields:
        Pairs, person by person.
    """
    complete = [task for task in tasks if (Path(task.out) / result_record_path(task.person, task.visit)).is_file()]
    for person in sorted({task.person for task in complete}):
        own = {task.visit: task for task in complete if task.person == person}
        ordered = in_order(list(own), dates_of_sessions(sessions(data, person)))
        if ordered is None:
            note(
                f"sub-{person}: the sessions {', '.join(sorted(own))} were not compared, because their names have no "
                f"order in time. Add a column acq_time to sub-{person}_sessions.tsv."
            )
            continue
        yield from (Pair(own[first], own[second]) for first, second in pairwise(ordered))


def session_before(out: Path, person: str, visit: str, dates: Mapping[str, str] | None = None) -> str | None:
    """Find the session with a map that comes before another one, in the order of `session_pairs`.

    Args:
        out: derivatives dataset.
        person: label without `sub-`.
        visit: label without `ses-`.
        dates: of `dates_of_sessions`.

    Returns:
        Label without `ses-`; None if there is none.
    """
    labels = {folder.name.removeprefix("ses-") for folder in (out / f"sub-{person}").glob("ses-*")}
    complete = [label for label in labels if (out / result_record_path(person, label)).is_file()]
    ordered = in_order([*{*complete, visit}], dates or {}) or [visit]
    position = ordered.index(visit)
    return ordered[position - 1] if position else None


def dates_of_sessions(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Collect when a person's sessions were.

    Args:
        rows: of `cohort_bids.sessions`.

    Returns:
        acq_time (ISO 8601) by label without `ses-`, of the sessions that have one.
    """
    times = {label: str(row.get("acq_time") or "") for label, row in rows.items()}
    return {label: time for label, time in times.items() if ISO_DATE.match(time)}


def in_order(labels: Sequence[str], dates: Mapping[str, str]) -> list[str] | None:
    """Sort sessions by time: by their dates if all have one, else by the number in their names.

    Args:
        labels: labels without `ses-`.
        dates: acq_time by label.

    Returns:
        The labels; None if the names have no order in time, as pre and post.
    """
    if all(label in dates for label in labels):
        return sorted(labels, key=lambda label: (dates[label], _natural_order(label)))
    starts = {re.match(r"\D*", label).group() for label in labels}  # type: ignore[union-attr]  # matches anything
    if len(labels) > 1 and (len(starts) > 1 or not all(re.search(r"\d", label) for label in labels)):
        return None
    return sorted(labels, key=_natural_order)


def _natural_order(label: str) -> list[tuple[int, str]]:
    """Sort key of session labels: the numbers in them by value."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", label)]

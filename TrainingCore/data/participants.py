"""Match rows of participants.tsv to the people of a dataset; a spreadsheet may have changed the labels."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from .table_text import is_empty

SHAPES_OF = "lesion_shapes_of"  # column: real mask whose lesions a simulated person has; several people may share one


def unit_of(person: Any, mask: Any) -> str:
    """Say with whom a person is drawn, left out, or set aside.

    Args:
        person: label of the person.
        mask: value of the column SHAPES_OF, or None.

    Returns:
        The person; or the real mask, if the person is simulated with its lesions, which others may have as well.
    """
    return str(person) if mask is None or is_empty(str(mask)) else f"mask {mask}"


def rows_of_people(
    rows: dict[str, dict[str, Any]], people: Sequence[str]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Match rows of participants.tsv to people.

    Labels are matched exactly; if that fails, without leading zeros, case and punctuation (spreadsheets turn 001 into
    1), provided that this leaves one row for one person.

    Args:
        rows: columns by label, without `sub-`.
        people: labels of the people, without `sub-`.

    Returns:
        Columns by person, and sentences about inexact matches and people without a row.
    """
    known = {person: rows[person] for person in people if person in rows}
    free_rows, free_people = defaultdict(list), defaultdict(list)
    for label in rows:
        if label not in known:
            free_rows[_loose(label)].append(label)
    for person in people:
        if person not in known:
            free_people[_loose(person)].append(person)
    matched = []
    for loose, persons in free_people.items():
        if len(persons) == 1 and len(free_rows.get(loose, ())) == 1:
            known[persons[0]] = rows[free_rows[loose][0]]
            matched.append(f"{free_rows[loose][0]} as sub-{persons[0]}")
    without = [person for person in people if person not in known]
    notes = [f"participants.tsv: took {_some(matched)}"] if matched else []
    if rows and without:
        notes.append(f"participants.tsv has no row for {_some([f'sub-{person}' for person in without])}")
    return known, notes


def _loose(label: str) -> str:
    """Letters in lower case and numbers without leading zeros: `P-007` and `p7` are the same."""
    plain = re.sub(r"[\W_]", "", label.casefold()).removeprefix("sub")
    return re.sub(r"(?<!\d)0+(?=\d)", "", plain)


def _some(labels: Sequence[str], most: int = 5) -> str:
    more = f" and {len(labels) - most} more" if len(labels) > most else ""
    return ", ".join(labels[:most]) + more

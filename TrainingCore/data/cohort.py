"""Cohort: the visits of a BIDS dataset (raw + derivatives) or of a table, split by person and never by visit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.errors import BadInput
from .case import MRI, is_simulated, word_of
from .cohort_bids import index, participants, sessions
from .cohort_table import read_table
from .participants import SHAPES_OF, rows_of_people, unit_of
from .table_text import is_empty
from .visit import Visit

__all__ = ["Cohort", "Visit"]

TABLES = (".csv", ".tsv")
UNKNOWN = "unknown"
MAX_NAMED = 5  # visits that a sentence names
FOUND_BY_PREPROCESS = ("brain", "white_matter", "grey_matter")
NEEDED_FOR_TRAINING = (*MRI, "brain", "dvr", "lesions", "white_matter")


@dataclass
class Cohort:
    """Visits of a dataset, in a stable order.

    Attributes:
        visits: visits with all required volumes.
        path: folder or table, or None.
        incomplete: the other visits.
        notes: sentences about selected images and excluded visits.
        bad_rows: one sentence per invalid row of a table.
        unused: files that are not used, with the reason.
    """

    visits: list[Visit]
    path: Path | None = None
    incomplete: list[Visit] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    bad_rows: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of the cohort's folder or table, without its path."""
        return self.path.resolve().name if self.path else "the cohort"

    @classmethod
    def read(cls, path: str | Path, needs: Sequence[str] = MRI) -> Cohort:
        """Index the prepared visits of a BIDS folder or a table; no image is opened.

        Visits that `preprocess` wrote are preferred to raw ones.

        Args:
            path: BIDS folder, or .csv / .tsv table.
            needs: volumes without which a visit is `incomplete`.

        Returns:
            The cohort.

        Raises:
            BadInput: there is no dataset or no complete visit, or a row of the table is invalid.
        """
        cohort = cls.scan(path, raw=False, needs=needs)
        if cohort.bad_rows:
            raise BadInput("\n  ".join(cohort.bad_rows))
        if not cohort.visits:
            kinds = " and ".join(needs)
            raise BadInput(
                f"{path} holds no visit with both {kinds}, named as in BIDS (sub-<label>[_ses-<label>]_T1w.nii.gz)."
                + "".join(f" Not used: {reason}." for reason in cohort.unused[:MAX_NAMED])
                if len(needs) == 2
                else f"{path} holds no visit with {kinds}, named as in BIDS."
            )
        return cohort

    @classmethod
    def scan(cls, path: str | Path, raw: bool, needs: Sequence[str] = MRI, choose: Sequence[str] = ()) -> Cohort:
        """Index a BIDS folder or a table; incomplete visits and invalid rows are listed and raise no error.

        Args:
            path: BIDS folder, or .csv / .tsv table.
            raw: whether to look for raw images, as `preprocess` does.
            needs: volumes without which a visit is `incomplete`.
            choose: entities (`run-1`) that select among several images of a contrast.

        Returns:
            The cohort.

        Raises:
            BadInput: there is no dataset, or the table cannot be read.
        """
        root = Path(path)
        bad: list[str] = []
        unused: list[str] = []
        people_notes: list[str] = []
        if root.is_file() and root.suffix.lower() in TABLES:
            visits, bad = read_table(root)
        elif root.is_dir():
            visits, unused = index(root, raw, choose)
            people = sorted({visit.person for visit in visits})
            columns, people_notes = rows_of_people(participants(root / "participants.tsv"), people)
            for visit in visits:
                visit.info.update(columns.get(visit.person, {}))
                if visit.visit:
                    visit.info.update(sessions(root, visit.person).get(visit.visit, {}))
        else:
            raise BadInput(f"The dataset {root} does not exist. Give a BIDS folder or a .csv table with --data.")
        complete = [visit for visit in visits if set(needs) <= set(visit.files)]
        incomplete = [visit for visit in visits if not set(needs) <= set(visit.files)]
        notes = [note for visit in visits for note in visit.notes]
        notes = people_notes + notes + missing_sentences(incomplete, needs)
        return cls(complete, root, incomplete, notes, bad, unused)

    @property
    def people(self) -> list[str]:
        """Labels of the people, sorted."""
        return sorted({visit.person for visit in self.visits})

    @property
    def simulated(self) -> bool:
        """Whether any visit is marked as simulated."""
        return any(is_simulated(visit.info) for visit in self.visits)

    def of(self, people: set[str] | list[str]) -> Cohort:
        """Select the visits of some people.

        Args:
            people: labels without `sub-`.

        Returns:
            Cohort of those visits, without notes and incomplete visits.
        """
        chosen = set(people)
        return Cohort([visit for visit in self.visits if visit.person in chosen], self.path)

    def without(self, people: Iterable[str]) -> Cohort:
        """Select the visits of all people except some.

        Args:
            people: labels without `sub-` to leave out.

        Returns:
            Cohort of the other visits, without notes and incomplete visits.
        """
        left_out = set(people)
        return Cohort([visit for visit in self.visits if visit.person not in left_out], self.path)

    def sizes(self) -> dict[str, int]:
        """Total file size of each visit in bytes, by label: a fast way to detect changed data."""
        return {
            visit.label: sum(path.stat().st_size for path in visit.files.values() if path.is_file()) for visit in self
        }

    def usable_for_training(self, needs: Sequence[str] = NEEDED_FOR_TRAINING) -> Cohort:
        """Select the visits usable for training.

        Args:
            needs: volumes that a visit must have.

        Returns:
            The usable visits; the others are listed as incomplete.

        Raises:
            BadInput: no visit is usable; the message names the missing volumes.
        """
        ready = [visit for visit in self.visits if set(needs) <= set(visit.files)]
        if not ready:
            first = self.visits[0]
            missing, noted = sorted(set(needs) - set(first.files)), "".join(f" ({note})" for note in first.notes)
            raise BadInput(
                f"No visit of {self.path} is usable for training: {first.label} lacks {', '.join(missing)}{noted}."
                f"{how_to_get(missing)}"
            )
        others = [visit for visit in self.visits if not set(needs) <= set(visit.files)]
        notes = self.notes + missing_sentences(others, needs)
        return Cohort(ready, self.path, self.incomplete + others, notes)

    def left_out(self) -> str:
        """Sentence about the incomplete visits, which are not used; empty if all are complete."""
        if not self.incomplete:
            return ""
        labels = {visit.label for visit in self.incomplete}
        reasons = [note for note in self.notes if note.split(" ")[0] in labels and " has no " in note]
        more = f", and {len(reasons) - MAX_NAMED} more" if len(reasons) > MAX_NAMED else ""
        return (
            f"{len(labels)} of {len(labels) + len(self.visits)} visits are not used: "
            f"{', '.join(reasons[:MAX_NAMED])}{more}."
        )

    def strata(self, columns: Sequence[str]) -> dict[str, str]:
        """Stratum of each person.

        Args:
            columns: columns of participants.tsv to stratify by.

        Returns:
            The values of the columns, joined, by person.

        Raises:
            BadInput: a column does not exist or is empty.
        """
        first: dict[str, dict[str, Any]] = {}
        for visit in self.visits:
            first.setdefault(visit.person, visit.info)
        for column in columns:
            if not any(column in info for info in first.values()):
                known = sorted({name for info in first.values() for name in info})
                raise BadInput(
                    f"participants.tsv of {self.path} has no column {column!r} to stratify by. It has: "
                    f"{', '.join(known) or 'none'}."
                )
            if not any(_value(info, column) for info in first.values()):
                raise BadInput(
                    f"The column {column!r} of participants.tsv of {self.path} is empty and cannot be stratified by."
                )
        return {
            person: " / ".join(_value(info, column) or UNKNOWN for column in columns) for person, info in first.items()
        }

    def shuffled(self, seed: Sequence[int], stratify: Sequence[str] = ()) -> list[str]:
        """Order the people randomly so that the first m of them are stratified, for every m.

        Within a stratum of n people in random order, person k gets the position (k + u) / n with one random u in [0, 1)
        per stratum: the first share s of all people includes s n people of the stratum, rounded down or up, and s n on
        average.

        Args:
            seed: random seed.
            stratify: columns of participants.tsv to stratify by.

        Returns:
            Labels of the people.
        """
        rng = np.random.default_rng(list(seed))
        people: list[str] = rng.permutation(self.people).tolist()
        if not stratify:
            return people
        stratum = self.strata(stratify)
        sizes = Counter(stratum.values())
        offset = {name: rng.random() for name in sorted(sizes)}
        position, drawn = {}, Counter[str]()
        for person in people:
            name = stratum[person]
            position[person] = (drawn[name] + offset[name]) / sizes[name]
            drawn[name] += 1
        return sorted(people, key=position.__getitem__)

    def split(self, validation_people: int, seed: int, stratify: Sequence[str] = ()) -> tuple[Cohort, Cohort]:
        """Split into training and validation visits, by person; simulated people with the same real mask stay together.

        Args:
            validation_people: number of people in the validation set.
            seed: random seed.
            stratify: columns of participants.tsv to stratify by.

        Returns:
            Training and validation cohort.

        Raises:
            BadInput: there are too few people, or a column does not exist.
        """
        people = self.people
        if len(people) <= validation_people:
            raise BadInput(
                f"{self.path} has {len(people)} people usable for training; with {validation_people} set aside for "
                "validation, at least one more is needed. Use --set validation_people=0 or a larger dataset."
            )
        units = self.units
        chosen = {units[person] for person in self.shuffled([seed, 71], stratify)[:validation_people]}
        validation = {person for person in people if units[person] in chosen}
        if len(validation) == len(people):
            raise BadInput(
                f"The simulated people of {self.path} share the lesions of a few real masks, so that nobody is left to "
                "train on. Simulate with more masks, or use --set validation_people=0."
            )
        return self.of([p for p in people if p not in validation]), self.of(validation)

    @property
    def units(self) -> dict[str, str]:
        """Who is set aside together, by person: people with the lesions of one real mask (see `unit_of`)."""
        return {visit.person: unit_of(visit.person, visit.info.get(SHAPES_OF)) for visit in self.visits}

    def __len__(self) -> int:
        return len(self.visits)

    def __iter__(self) -> Iterator[Visit]:
        return iter(self.visits)


def _value(info: dict[str, Any], column: str) -> str:
    value = str(info.get(column) or "").strip()
    return "" if is_empty(value) and value.casefold() != UNKNOWN else value


def how_to_get(missing: Sequence[str]) -> str:
    """Say how missing volumes can be obtained.

    Args:
        missing: volume names.

    Returns:
        Sentence that begins with a space; empty if `preprocess` computes none of them.
    """
    preparable = [name for name in missing if name in FOUND_BY_PREPROCESS]
    if not preparable:
        return ""
    it = "it" if len(preparable) == 1 else "them"
    return f" The {' and the '.join(map(word_of, preparable))}: `preprocess` finds {it}; give its --out as --data."


def missing_sentences(visits: Sequence[Visit], needs: Sequence[str]) -> list[str]:
    """Write one sentence per visit that names its missing volumes.

    Args:
        visits: visits that lack at least one volume.
        needs: required volume names.
    """
    return [
        f"{visit.label} has no {' and no '.join(name for name in needs if name not in visit.files)}" for visit in visits
    ]

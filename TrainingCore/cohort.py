"""Cohort: the visits found in a BIDS dataset (raw + derivatives), split by person and never by visit."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import BadInput

if TYPE_CHECKING:
    from .case import Case

# What to look for in a file name, by volume: (suffix, words that must be in the name).
PATTERNS: dict[str, tuple[str, tuple[str, ...]]] = {
    "t1w": ("T1w", ()),
    "flair": ("FLAIR", ()),
    "brain": ("mask", ("desc-brain",)),
    "lesions": ("mask", ("label-lesion",)),
    "white_matter": ("mask", ("label-WM",)),
    "grey_matter": ("mask", ("label-GM",)),
    "dvr": ("mimap", ("stat-dvr", "desc-measured")),
    "dvr_clean": ("mimap", ("stat-dvr", "desc-noisefree")),
}
NEEDED = ("t1w", "flair", "brain")
NEEDED_TO_LEARN = (*NEEDED, "dvr", "lesions", "white_matter")
FILE = re.compile(
    r"^sub-(?P<person>[0-9A-Za-z]+)(?:_ses-(?P<visit>[0-9A-Za-z]+))?_(?P<rest>.*?)"
    r"(?P<suffix>[0-9A-Za-z]+)\.nii(?:\.gz)?$"
)


@dataclass
class Visit:
    """The files of one visit of one person; `load` reads them onto a grid."""

    person: str
    visit: str
    files: dict[str, Path] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """BIDS-style label, e.g. `sub-A01_ses-1`."""
        return f"sub-{self.person}_ses-{self.visit}" if self.visit else f"sub-{self.person}"

    def load(self, shape: tuple[int, int, int], spacing: float, intensity: dict[str, Any]) -> Case:
        """Read, resample and rescale this visit for a network (see imaging.preparation.prepare_case).

        shape: voxels of the grid; spacing: mm; intensity: the rule of a recipe or bundle. FLAIR and the derivatives
        must be registered to T1w. Raises BadInput naming the file where one cannot be used.
        """
        from .case import MASKS
        from .imaging.grid import brain_grid
        from .imaging.preparation import prepare_case
        from .imaging.volumes import read_volume

        missing = [name for name in NEEDED if name not in self.files]
        if missing:
            raise BadInput(f"{self.label} has no {', '.join(missing)}; a registered, brain-masked visit is needed.")
        read = {name: read_volume(path, what=name, mask=name in MASKS) for name, path in self.files.items()}
        brain = read["brain"]
        try:
            grid = brain_grid(brain.data > 0.5, brain.affine, shape, spacing)
            extra = {name: volume for name, volume in read.items() if name not in NEEDED}
            case = prepare_case(
                read["t1w"], read["flair"], brain, grid, intensity, extra=extra, person=self.person, visit=self.visit
            )
        except ValueError as error:
            raise BadInput(f"{self.label} cannot be prepared: {error}. Check {self.files['brain']}.") from error
        case.info.update(self.info)
        return case


@dataclass
class Cohort:
    """Visits in a stable order."""

    visits: list[Visit]
    path: Path | None = None

    @classmethod
    def read(cls, path: str | Path) -> Cohort:
        """Index a BIDS folder by file names alone; raises BadInput where there is no dataset or no visit."""
        root = Path(path)
        if not root.is_dir():
            raise BadInput(f"The dataset {root} does not exist. Give a BIDS folder with --data.")
        visits = _index(root)
        columns = _participants(root / "participants.tsv")
        for visit in visits.values():
            visit.info.update(columns.get(f"sub-{visit.person}", {}))
        found = [visits[key] for key in sorted(visits) if {"t1w", "flair"} <= set(visits[key].files)]
        if not found:
            raise BadInput(
                f"{root} holds no visit with both a T1w and a FLAIR named as BIDS wants "
                "(sub-<label>[_ses-<label>]_T1w.nii.gz)."
            )
        return cls(found, root)

    @property
    def people(self) -> list[str]:
        """Labels of the people, sorted."""
        return sorted({visit.person for visit in self.visits})

    @property
    def simulated(self) -> bool:
        """Whether any visit says it is simulated."""
        return any(str(visit.info.get("simulated", "")).lower() in {"true", "1", "yes"} for visit in self.visits)

    def of(self, people: set[str] | list[str]) -> Cohort:
        """The visits of some people."""
        return Cohort([visit for visit in self.visits if visit.person in set(people)], self.path)

    def ready_to_learn(self) -> Cohort:
        """The visits that have all a training run needs; raises BadInput saying what is missing where none has."""
        ready = [visit for visit in self.visits if set(NEEDED_TO_LEARN) <= set(visit.files)]
        if not ready:
            missing = sorted(set(NEEDED_TO_LEARN) - set(self.visits[0].files))
            raise BadInput(
                f"No visit of {self.path} can be learnt from: {self.visits[0].label} lacks {', '.join(missing)}."
            )
        return Cohort(ready, self.path)

    def split(self, validation_people: int, seed: int) -> tuple[Cohort, Cohort]:
        """Training and validation visits, split by person with a seed; raises BadInput with too few people."""
        people = self.people
        if len(people) <= validation_people:
            raise BadInput(
                f"{self.path} has {len(people)} people to learn from; with {validation_people} for validation at "
                "least one more is needed. Use --set validation_people=0 or a larger dataset."
            )
        order = np.random.default_rng([seed, 71]).permutation(people)
        validation = set(order[:validation_people].tolist())
        return self.of([p for p in people if p not in validation]), self.of(validation)

    def __len__(self) -> int:
        return len(self.visits)

    def __iter__(self) -> Iterator[Visit]:
        return iter(self.visits)


def _index(root: Path) -> dict[tuple[str, str], Visit]:
    visits: dict[tuple[str, str], Visit] = {}
    for path in sorted([*root.glob("sub-*/**/*.nii*"), *root.glob("derivatives/*/sub-*/**/*.nii*")]):
        match = FILE.match(path.name)
        name = _volume_of(match) if match else None
        if match is None or name is None:
            continue
        key = (match["person"], match["visit"] or "")
        visit = visits.setdefault(key, Visit(*key))
        visit.files.setdefault(name, path)
    return visits


def _volume_of(match: re.Match[str]) -> str | None:
    for name, (suffix, words) in PATTERNS.items():
        if match["suffix"] == suffix and all(word in match["rest"] for word in words):
            if name in {"t1w", "flair"} and "ce-" in match["rest"]:
                continue  # after contrast agent: another contrast
            return name
    return None


def _participants(path: Path) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        return {}
    with open(path, encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    return {row.get("participant_id", ""): {k: v for k, v in row.items() if k != "participant_id"} for row in rows}

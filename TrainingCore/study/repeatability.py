"""Repeatability: difference in lesion DVR between two scans of an unchanged brain, the threshold for a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..evaluation.conformal import CLASSES_MM3, volume_class
from ..imaging.labelling import at_least

MIN_LESIONS = 20  # of a volume class; a class with fewer joins the smaller lesions (ours)
DRAWS = 2000  # of the bootstrap (ours)
NORMAL = 1.96  # of the normal distribution: a 95 % interval


@dataclass(frozen=True)
class Repeatability:
    """SD of the difference of a lesion's mean DVR between two scans without a change.

    Attributes:
        classes_mm3: lower ends of the volume classes, ascending.
        sd: of each class.
        source: how it was measured.
        nawm_sd: the same for the mean of normal-appearing white matter, where it was measured.
    """

    classes_mm3: tuple[float, ...]
    sd: tuple[float, ...]
    source: str
    nawm_sd: float | None = None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Repeatability:
        """Read the repeatability of a bundle.

        Args:
            content: {classes_mm3, sd, source, nawm_sd}; the latter two are optional.

        Returns:
            The repeatability.

        Raises:
            ValueError: the entries are inconsistent.
        """
        classes, sd = (tuple(map(float, content[key])) for key in ("classes_mm3", "sd"))
        if len(classes) != len(sd) or not classes or list(classes) != sorted(classes) or min(sd) <= 0:
            raise ValueError("classes_mm3 must ascend and have one positive sd each")
        nawm = content.get("nawm_sd")
        return cls(classes, sd, str(content.get("source", "")), None if nawm is None else float(nawm))

    def of(self, volume_mm3: float) -> float:
        """SD of the difference for a lesion, that of its volume class.

        Args:
            volume_mm3: volume of the lesion.

        Returns:
            SD in DVR.
        """
        return self.sd[max(sum(at_least(volume_mm3, low) for low in self.classes_mm3) - 1, 0)]

    def in_words(self) -> str:
        """Description of the threshold for a report."""
        classes = ", ".join(f"{NORMAL * sd:.3f} from {low:g} mm3" for low, sd in zip(self.classes_mm3, self.sd))
        return f"more than {classes} DVR ({self.source or 'source not stated'})"


def fit_repeatability(
    rows: Sequence[Mapping[str, Any]], nawm: Sequence[float], source: str, weights_sha256: str, seed: int = 0
) -> dict[str, Any]:
    """Estimate the repeatability of a model from people scanned twice without a change.

    Args:
        rows: one per lesion: person, volume_mm3, difference (of its mean DVR between the scans) and, where there are
            several, the protocol that both scans were made with.
        nawm: the same difference of normal-appearing white matter, one per person.
        source: how it was measured, for reports.
        weights_sha256: of the model.
        seed: of the bootstrap.

    Returns:
        {classes_mm3, sd, sd_low, sd_high, lesions, mean, false_alarms, nawm_sd, people, source, weights_sha256}. sd:
        root mean square of the differences by volume class, of the protocol where it is widest, with its 95 % interval
        by bootstrap over people; by_protocol: the same of each of several protocols; mean: average difference (0
        without a drift); false_alarms: share of lesions beyond 1.96 sd, every person judged by
        the others.

    Raises:
        ValueError: fewer than MIN_LESIONS lesions or three people.
    """
    people = sorted({str(row["person"]) for row in rows})
    if len(rows) < MIN_LESIONS or len(people) < 3:
        raise ValueError(
            f"{len(rows)} lesions of {len(people)} people are too few: it takes {MIN_LESIONS} of 3 or more"
        )
    owner = np.array([people.index(str(row["person"])) for row in rows])
    difference = np.array([row["difference"] for row in rows], float)
    classes, member = _classes(np.array([row["volume_mm3"] for row in rows], float))
    protocols = sorted({str(row.get("protocol", "")) for row in rows})
    protocol = np.array([protocols.index(str(row.get("protocol", ""))) for row in rows])
    squares, counts = np.zeros((2, len(people), len(protocols), len(classes)))
    np.add.at(squares, (owner, protocol, member), difference**2)
    np.add.at(counts, (owner, protocol, member), 1)
    enough = counts.sum(0) >= MIN_LESIONS
    sd = _widest(squares.sum(0), counts.sum(0), enough)
    drawn = np.random.default_rng(seed).integers(len(people), size=(DRAWS, len(people)))
    spread = [_widest(squares[draw].sum(0), counts[draw].sum(0), enough) for draw in drawn]
    low, high = np.percentile(spread, [2.5, 97.5], axis=0)
    others = [
        _widest(squares.sum(0) - squares[person], counts.sum(0) - counts[person], enough)
        for person in range(len(people))
    ]
    alarms = np.abs(difference) > NORMAL * np.array(others)[owner, member]
    return {
        "classes_mm3": classes,
        "sd": _rounded(sd),
        "sd_low": _rounded(low),
        "sd_high": _rounded(high),
        "lesions": [int(count) for count in counts.sum((0, 1))],
        "mean": round(float(difference.mean()), 5),
        "false_alarms": round(float(alarms.mean()), 4),
        "nawm_sd": round(float(np.sqrt(np.mean(np.square(nawm)))), 5) if len(nawm) else None,
        "people": len(people),
        "source": source,
        "weights_sha256": weights_sha256,
        **({"by_protocol": _by_protocol(protocols, squares.sum(0), counts.sum(0))} if len(protocols) > 1 else {}),
    }


def _widest(squares: np.ndarray, counts: np.ndarray, enough: np.ndarray) -> np.ndarray:
    """SD of each volume class: of all protocols together, or that of a protocol with enough lesions if it is wider.

    Visits of a patient seldom come from a protocol that was measured, so the widest one decides.

    squares, counts, enough: (protocols, classes); returns (classes,).
    """
    together = np.sqrt(squares.sum(0) / np.maximum(counts.sum(0), 1))
    own = np.sqrt(squares / np.maximum(counts, 1))
    return np.maximum(together, np.where(enough, own, 0).max(0))


def _by_protocol(protocols: Sequence[str], squares: np.ndarray, counts: np.ndarray) -> dict[str, Any]:
    """SD and number of lesions of each protocol by volume class; None for a class without lesions."""
    return {
        name: {
            "sd": [round(float(np.sqrt(total / count)), 5) if count else None for total, count in zip(*pair)],
            "lesions": [int(count) for count in pair[1]],
        }
        for name, *pair in zip(protocols, squares, counts)
    }


def _classes(volumes: np.ndarray) -> tuple[list[float], np.ndarray]:
    """Lower ends of the volume classes that have enough lesions, and the class of each lesion."""
    member = np.array([volume_class(volume) for volume in volumes])
    kept = [index for index in range(len(CLASSES_MM3)) if (member == index).sum() >= MIN_LESIONS]
    kept = kept or [0]
    joined = np.maximum(np.searchsorted(kept, member, side="right") - 1, 0)
    return [0.0, *(CLASSES_MM3[index] for index in kept[1:])], joined


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 5) for value in values]

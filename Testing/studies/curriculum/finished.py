"""Finished trainings in a few kilobytes each, so that several machines can share a study.

A folder of them holds protocol.json, lesions.json (what is known of the test people's lesions, the same for every
training) and ARM-seed-N.json for each finished training: its result.json with only the mean DVR of each lesion.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from TrainingCore.evaluation.summary import PAPER_MINIMUM_MM3
from TrainingCore.imaging.labelling import at_least
from TrainingCore.runtime.errors import BadInput
from TrainingCore.runtime.files import atomic_path, read_json

from .one_run import result_of
from .protocol import BUNDLES, keep_protocol, read_protocol

COMMITTED = Path(__file__).parent / "trainings"  # what is finished of this study
Result = dict[str, Any]
PREDICTED = "mean_dvr"
DIGITS = 5


def share(study: Path, folder: Path, arms: Sequence[str], seeds: int) -> None:
    """Add a study's finished trainings to a folder; those that it has stay as they are.

    Raises:
        BadInput: the folder holds another protocol, or other lesions.
    """
    keep_protocol(folder, read_protocol(study))
    for arm in arms:
        for seed in range(1, seeds + 1):
            result = result_of(study, arm, seed)
            if result is not None and not _place(folder, arm, seed).is_file():
                _write(folder, result)


def shared_result(folder: Path, arm: str, seed: int) -> Result | None:
    """result.json of a training in the folder, None where it is not there."""
    path = _place(folder, arm, seed)
    if not path.is_file():
        return None
    result: Result = read_json(path)
    known = _rows(read_json(folder / "lesions.json"))
    rows = {
        which: [row | {PREDICTED: value} for row, value in zip(known, values, strict=True)]
        for which, values in result["lesions"].items()
    }
    return result | {"lesions": rows}


def _place(folder: Path, arm: str, seed: int) -> Path:
    return folder / f"{arm}-seed-{seed}.json"


def _write(folder: Path, result: Result) -> None:
    kept = {
        which: [row for row in result["lesions"][which] if at_least(row["volume_mm3"], PAPER_MINIMUM_MM3)]
        for which in BUNDLES
    }
    known = _columns(kept[BUNDLES[0]])
    path = folder / "lesions.json"
    if not path.is_file():
        _write_lines(path, known)
    before = read_json(path)
    if not all(name in known and _same(before[name], known[name]) for name in before):
        raise BadInput(f"{path} has other lesions than {result['arm']}, seed {result['seed']}. Choose another folder.")
    predicted = {which: [round(row[PREDICTED], DIGITS) for row in rows] for which, rows in kept.items()}
    _write_lines(_place(folder, result["arm"], result["seed"]), result | {"lesions": predicted})


def _write_lines(path: Path, content: Result) -> None:
    """JSON with one line a key, short enough to be committed and compared."""
    lines = [f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in content.items()]
    with atomic_path(path) as temporary:
        temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _columns(rows: Sequence[Result]) -> dict[str, list[Any]]:
    """What is known of lesions, whatever predicts them, by column."""
    names = [name for name in rows[0] if name != PREDICTED]
    return {name: [_short(row[name]) for row in rows] for name in names}


def _same(first: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether two columns agree, numbers up to their rounding."""
    if len(first) != len(other):
        return False
    numbers = [isinstance(value, float) and isinstance(own, float) for value, own in zip(first, other)]
    return all(
        abs(value - own) <= 2 * 10**-DIGITS if number else value == own
        for value, own, number in zip(first, other, numbers)
    )


def _short(value: Any) -> Any:
    return round(value, DIGITS) if isinstance(value, float) else value


def _rows(columns: dict[str, list[Any]]) -> list[Result]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

"""Whether two Results can be compared: the reason in one sentence where they cannot."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..runtime.errors import BadInput

PERSON = re.compile(r"sub-[A-Za-z0-9]+")  # as BIDS names people


def visit_label(path: Path) -> str:
    """Name of a visit for people: that of its Result folder, which holds no date unless the user put one there.

    Args:
        path: folder of a Result.

    Returns:
        Name without `_result`.
    """
    return path.resolve().name.removesuffix("_result")


def scan_of(record: Mapping[str, Any]) -> str | None:
    """Hash of the T1w from which a map was made.

    Args:
        record: provenance of the Result.

    Returns:
        SHA-256, or None if it is not recorded.
    """
    scan = record.get("inputs", {}).get("t1w", {}).get("sha256")
    return None if scan is None else str(scan)


def check_same_person(labels: tuple[str, str], records: tuple[Mapping[str, Any], Mapping[str, Any]]) -> None:
    """Two visits of one person, as far as that is known.

    Args:
        labels: names of the earlier and of the later visit; BIDS names tell the person.
        records: provenance.json of either.

    Raises:
        BadInput: the same scan twice, or two people.
    """
    people = [PERSON.search(label) for label in labels]
    if people[0] and people[1] and people[0][0] != people[1][0]:
        raise BadInput(
            f"The visits belong to different people ({people[0][0]}, {people[1][0]}). Choose two visits of one person."
        )
    scans = [scan_of(record) for record in records]
    if scans[0] is not None and scans[0] == scans[1]:
        raise BadInput("Both maps were made from the same T1w. Choose a Result of another visit.")


def check_same_model(records: tuple[Mapping[str, Any], Mapping[str, Any]]) -> None:
    """Check that one model made both maps; otherwise their difference is not a change of tissue.

    Args:
        records: provenance of the earlier and the later Result.

    Raises:
        BadInput: the weights differ.
    """
    models = [record["model"] for record in records]
    if models[0]["weights_sha256"] != models[1]["weights_sha256"]:
        raise BadInput(
            f"Different models made the two maps (earlier: {models[0]['name']}, later: {models[1]['name']}), so their "
            "difference is no change of tissue. Make both maps with one model."
        )

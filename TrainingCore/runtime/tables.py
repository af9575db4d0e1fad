"""Rows as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .files import write_text


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV with a header of all their keys, in order of first appearance.

    Args:
        path: file to create or replace, atomically.
        rows: values by column; None and missing keys (not estimable) become `n/a`, as in BIDS tables.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["n/a" if row.get(key) is None else row[key] for key in columns])
    write_text(path, table.getvalue())

"""Read a cohort from a table: one row per visit, one column per volume. CSV or TSV, paths relative to the table."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections import defaultdict
from pathlib import Path

from ..runtime.errors import BadInput
from .case import ALL_MRI, MASKS
from .table_text import is_empty, read_text, separator_of, without_content
from .visit import Visit

PERSON, SESSION = "participant_id", "session"
VOLUMES = (
    *ALL_MRI,
    "dvr",
    "lesions",
    "brain",
    "label_map",
    *(name for name in MASKS if name not in ("lesions", "brain")),
)
TRANSFORMS = tuple(f"{name}_to_t1w" for name in (*ALL_MRI[1:], "dvr"))  # `identity` or an ITK transform file
OTHER_NAMES = {
    "participant": PERSON, "subject": PERSON, "subject_id": PERSON, "sub": PERSON, "person": PERSON,
    "session_id": SESSION, "ses": SESSION, "visit": SESSION, "timepoint": SESSION,
    "t1": "t1w", "t2": "t2w", "lesion": "lesions", "lesion_mask": "lesions", "lesions_mask": "lesions",
    "brain_mask": "brain", "wm": "white_matter", "gm": "grey_matter", "gray_matter": "grey_matter", "pet": "dvr",
}  # fmt: skip


def read_table(path: Path) -> tuple[list[Visit], list[str]]:
    """Read a cohort table; the files it names must exist, but are not opened.

    Args:
        path: CSV or TSV; file names are relative to its folder.

    Returns:
        Visits of the valid rows in the table's order, and one sentence per invalid row with its line number.

    Raises:
        BadInput: the table as a whole cannot be used: not a table, no participant_id, no MRI, no row.
    """
    columns, rows = _rows(path)
    visits: list[Visit] = []
    bad: list[str] = []
    lines: dict[tuple[str, str], list[int]] = defaultdict(list)
    twins = _twins(columns, rows)
    for line, row in rows:
        try:
            visit = _visit(path, columns, row)
            _refuse_twins(twins, columns, row)
        except ValueError as error:
            bad.append(f"{path.name}, line {line}: {error}.")
            continue
        lines[visit.person, visit.visit].append(line)
        visits.append(visit)
    for visit in visits:
        repeated = lines[visit.person, visit.visit]
        if len(repeated) > 1 and repeated[0]:
            where = " and ".join(str(line) for line in repeated)
            bad.append(f"{path.name}, lines {where}: {visit.label} is there {len(repeated)} times; none was used.")
            lines[visit.person, visit.visit] = [0, 0]
    return [visit for visit in visits if len(lines[visit.person, visit.visit]) == 1], bad


def _rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    text = read_text(path)
    separator, before = separator_of(text)
    text = "\n".join(text.split("\n")[before:])
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        numbered_rows = [(before + reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise BadInput(f"{path} is not a table ({error}). Save it as CSV.") from error
    if not numbered_rows:
        raise BadInput(f"{path} is empty. Its first line must name the columns: {PERSON}, {SESSION}, t1w, flair, ...")
    columns = [_column(cell) for cell in numbered_rows[0][1]]
    for needed in (PERSON, *(() if set(ALL_MRI) & set(columns) else ("t1w",))):
        if needed not in columns:
            near = difflib.get_close_matches(needed, columns, n=1)
            hint = f" Is {near[0]!r} meant?" if near else ""
            raise BadInput(f"{path} has no column {needed} (its columns: {', '.join(columns)}).{hint}")
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    if twice:
        raise BadInput(f"{path} has the column {', '.join(twice)} twice. Keep one of them.")
    if len(numbered_rows) == 1:
        raise BadInput(f"{path} has no rows below its column names.")
    return columns, numbered_rows[1:]


def _column(cell: str) -> str:
    name = re.sub(r"[\s\-]+", "_", cell.strip().lower())
    return OTHER_NAMES.get(name, name)


def _visit(table: Path, columns: list[str], row: list[str]) -> Visit:
    if len(row) > len(columns):
        raise ValueError(f"it has {len(row)} cells, but there are {len(columns)} columns")
    written = {name: cell.strip() for name, cell in zip(columns, row) if cell.strip()}
    cells = {name: cell for name, cell in written.items() if not _left_empty(table, name, cell)}
    person = _label(cells.pop(PERSON, ""), "sub-", PERSON)
    if not person:
        raise ValueError(f"it has no {PERSON}")
    visit = Visit(person, _label(cells.pop(SESSION, ""), "ses-", SESSION))
    for name, cell in cells.items():
        if name in VOLUMES:
            visit.files[name] = _existing(table, cell, name)
        elif name in TRANSFORMS:
            value = cell if cell == "identity" else str(_existing(table, cell, name))
            visit.transforms[name.removesuffix("_to_t1w")] = value
        else:
            visit.info[name] = cell
    contrasts = [name for name in ALL_MRI if name in columns]
    if not set(contrasts) & set(visit.files):
        raise ValueError(f"{visit.label} has no {' and no '.join(contrasts)}")
    return visit


def _left_empty(table: Path, column: str, cell: str) -> bool:
    """Check whether a cell is empty: `n/a` and the like, unless a file has that name."""
    known = column in (PERSON, SESSION, *VOLUMES, *TRANSFORMS)
    return known and is_empty(cell) and not (column in VOLUMES and (table.parent / cell).is_file())


def _twins(columns: list[str], rows: list[tuple[int, list[str]]]) -> dict[tuple[str, str], list[str]]:
    """Return different ids, or sessions of one person, that give the same label: (column, label) -> their spellings.

    Labels that differ in case only would share a folder on many disks.
    """
    written: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for _, row in rows:
        for key, cell in _identities(columns, row):
            written[key][cell] = None
    return {key: list(cells) for key, cells in written.items() if len(cells) > 1}


def _identities(columns: list[str], row: list[str]) -> list[tuple[tuple[str, str], str]]:
    cells = {name: cell.strip() for name, cell in zip(columns, row)}
    person, session = cells.get(PERSON, "").removeprefix("sub-"), cells.get(SESSION, "").removeprefix("ses-")
    label = _plain(person).casefold()
    pairs = [((PERSON, label), person)] if label else []
    return [*pairs, ((f"{SESSION} of {label}", _plain(session).casefold()), session)] if _plain(session) else pairs


def _refuse_twins(twins: dict[tuple[str, str], list[str]], columns: list[str], row: list[str]) -> None:
    """Raise ValueError if the id or session of a row gives the same label as another."""
    for (column, label), _ in _identities(columns, row):
        if (column, label) in twins:
            both = " and ".join(repr(cell) for cell in twins[column, label])
            what = PERSON if column == PERSON else SESSION
            raise ValueError(
                f"the {what}s {both} would become one label, {'sub' if what == PERSON else 'ses'}-{label}; write one "
                "of them otherwise (labels keep letters and digits only)"
            )


def _plain(text: str) -> str:
    return re.sub(r"[^0-9A-Za-z]", "", text)


def _label(cell: str, prefix: str, column: str) -> str:
    label = _plain(cell.removeprefix(prefix))
    if cell and not label:
        raise ValueError(f"the {column} {cell!r} has no letter or digit")
    return label


def _existing(table: Path, cell: str, column: str) -> Path:
    path = table.parent / cell  # an absolute path is unchanged
    if not path.exists() and "\\" in cell:
        path = table.parent / cell.replace("\\", "/")  # written on Windows
    reason = without_content(path)
    if reason:
        raise ValueError(f"the {column} file {cell} {reason}")
    series = path.with_name(path.name.rpartition("#")[0] or path.name)  # a DICOM folder may end in #SERIES
    if not path.exists() and not series.exists():
        raise ValueError(f"the {column} file {cell} does not exist (relative paths start where the table is)")
    return path

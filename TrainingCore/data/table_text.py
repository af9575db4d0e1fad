"""Text tables from spreadsheets, trials and hospitals: encoding, line ends, separator, empty cells."""

from __future__ import annotations

import re
from pathlib import Path

from ..runtime.errors import BadInput

# Text of empty cells: BIDS, R, pandas, Excel's errors in several languages, and what people type.
EMPTY = {
    "", "n/a", "na", "#n/a", "#na", "#nv", "#n/d", "#n/v", "<na>", "nan", "none", "null", "nil", "n.a.", "k.a.", "n/d",
    "nd", "s/d", "-", "--", "\u2013", "\u2014", ".", "?", "missing", "unknown",
}  # fmt: skip
SEPARATOR_LINE = re.compile(r'^"?sep=(.)"?[,;\t]*$', re.IGNORECASE)
POINTERS = (b"/annex/objects/", b"version https://git-lfs", b"../.git/annex", b".git/annex/objects/")
LARGEST_POINTER = 512  # bytes; git-annex and Git LFS write fewer


def read_text(path: Path) -> str:
    """Read a table's text.

    Args:
        path: file in UTF-8, or in UTF-16 with a byte-order mark.

    Returns:
        Text with `\\n` line ends.

    Raises:
        BadInput: the file cannot be read or is not text.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}. Check the path.") from error
    coding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = raw.decode(coding)
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not a text table in UTF-8. Save it again as text in UTF-8.") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def separator_of(text: str, among: str = ",;\t") -> tuple[str, int]:
    """Detect the separator of a table, and the lines before its header (Excel's `sep=;`, empty lines).

    Args:
        text: table with `\\n` line ends.
        among: candidate separators; the most frequent one in the header wins.

    Returns:
        Separator, and the number of lines before the header.
    """
    lines = text.split("\n")
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    separator = SEPARATOR_LINE.match(lines[first].rstrip(" "))
    if separator:
        return separator[1], first + 1
    return max(among, key=lines[first].count), first  # spreadsheets of many countries write semicolons


def is_empty(cell: str) -> bool:
    """Check whether a cell is empty: blank, or one of EMPTY (`n/a`, `#NV`, `-`, ...) in any case.

    Args:
        cell: text of the cell.
    """
    return cell.strip().casefold() in EMPTY


def without_content(path: Path) -> str:
    """Check whether a file is a placeholder without content (datalad, git-annex, Git LFS).

    Args:
        path: file or link.

    Returns:
        What is wrong and how to get the content, or an empty string.
    """
    get = "get its content first (datalad get, git annex get or git lfs pull)"
    try:
        size = path.stat().st_size
        if 0 < size <= LARGEST_POINTER and path.is_file():
            with open(path, "rb") as stream:
                first = stream.read(80)
            if any(mark in first for mark in POINTERS):
                return f"is a pointer without the image: {get}"
    except OSError as error:
        if path.is_symlink():
            return f"is a link to a file that is not there: {get}"
        return "" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
    return ""

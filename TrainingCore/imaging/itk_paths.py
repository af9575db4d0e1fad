"""Paths for ITK, which terminates the process if a path is not UTF-8 (an old Windows share, an unpacked archive)."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..runtime.files import scratch


@contextlib.contextmanager
def path_for_itk(path: Path) -> Iterator[Path]:
    """Provide a UTF-8 path for the duration of the block.

    Files beside it that a header may name can be reached as well.

    Args:
        path: existing file.

    Yields:
        The path itself, or a temporary link or copy if it is not UTF-8.
    """
    if _is_utf8(str(path)):
        yield path
        return
    with scratch(Path(tempfile.gettempdir()), "myelinsynth-path") as folder:
        if _is_utf8(path.name):
            with contextlib.suppress(OSError, NotImplementedError):
                (folder / "link").symlink_to(Path(os.path.abspath(path)).parent, target_is_directory=True)
        readable = folder / "link" / path.name
        if not (_is_utf8(path.name) and readable.is_file()):
            readable = folder / f"image{''.join(path.suffixes[-2:]) if _is_utf8(path.suffix) else ''}"
            shutil.copyfile(path, readable)
        try:
            yield readable
        finally:
            with contextlib.suppress(OSError):
                (folder / "link").unlink()


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True

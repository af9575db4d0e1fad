"""Paths for ITK, which ends the process where a path is not UTF-8 (an old Windows share, an unpacked archive)."""

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
    """The path itself, or for the time of the block another one in UTF-8 that leads to the same file.

    Files beside it that a header may name are reached as well. Nothing of it is left afterwards.
    """
    if _is_utf8(str(path)):
        yield path
        return
    with scratch(Path(tempfile.gettempdir()), "myelinsynth-path") as folder:
        if _is_utf8(path.name):
            with contextlib.suppress(OSError, NotImplementedError):
                (folder / "there").symlink_to(Path(os.path.abspath(path)).parent, target_is_directory=True)
        there = folder / "there" / path.name
        if not (_is_utf8(path.name) and there.is_file()):
            there = folder / f"image{''.join(path.suffixes[-2:]) if _is_utf8(path.suffix) else ''}"
            shutil.copyfile(path, there)
        try:
            yield there
        finally:
            with contextlib.suppress(OSError):
                (folder / "there").unlink()


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True

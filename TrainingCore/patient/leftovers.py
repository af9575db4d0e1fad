"""What a killed run leaves beside its output, and how the next run knows that nobody works there any more."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from ..runtime.files import PARTIAL_SUFFIX

CLAIM = ".claim"
UNCLAIMED_SECONDS = 60.0  # a folder this young may be about to be claimed


@contextlib.contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Hold a lock inside a temporary folder while working there; the system drops it when the process dies."""
    from filelock import FileLock  # Slicer's panel opens before it is installed

    path = folder / CLAIM
    with FileLock(path, blocking=False):
        yield
    path.unlink(missing_ok=True)


def remove_leftovers(target: Path) -> None:
    """Remove temporary folders of earlier runs to `target` whose process is gone. Never touches a living run's."""
    target = Path(target).absolute()
    if not target.parent.is_dir():
        return
    for folder in target.parent.glob(f".{target.name}.*{PARTIAL_SUFFIX}"):
        if folder.is_dir() and abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
    if target.exists():  # a run killed between two renames keeps the only older result here until there is a new one
        for folder in target.parent.glob(f".{target.name}.*.old"):
            shutil.rmtree(folder, ignore_errors=True)


def abandoned(folder: Path) -> bool:
    """Whether nobody works in a folder any more that was, or should have been, claimed."""
    from filelock import FileLock

    if not (folder / CLAIM).is_file():
        return time.time() - folder.stat().st_mtime > UNCLAIMED_SECONDS
    try:
        with FileLock(folder / CLAIM, blocking=False):
            return True
    except (OSError, NotImplementedError):  # held by a living process, or no locks on this file system
        return False

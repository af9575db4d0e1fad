"""Temporary folders of killed runs: how the next run detects that they are abandoned, and removes them."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from ..runtime.files import PARTIAL_SUFFIX

CLAIM = ".claim"
UNCLAIMED_SECONDS = 60.0  # a younger folder may not have been claimed yet


@contextlib.contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Hold a lock in a temporary folder during the block; the operating system releases it if the process dies.

    Args:
        folder: existing folder.

    Raises:
        filelock.Timeout: another process holds the lock.
    """
    from filelock import FileLock  # imported late, because Slicer's panel opens before filelock is installed

    path = folder / CLAIM
    with FileLock(path, blocking=False):
        yield
    path.unlink(missing_ok=True)


def remove_leftovers(target: Path, unclaimed_seconds: float = UNCLAIMED_SECONDS) -> None:
    """Remove temporary folders of earlier runs whose process has ended; folders of running processes are kept.

    Args:
        target: result folder that the runs wrote to.
        unclaimed_seconds: age from which a folder without a lock file counts as abandoned.
    """
    target = Path(target).absolute()
    if not target.parent.is_dir():
        return
    for folder in target.parent.glob(f".{target.name}.*{PARTIAL_SUFFIX}"):
        if folder.is_dir() and abandoned(folder, unclaimed_seconds):
            shutil.rmtree(folder, ignore_errors=True)
    if target.exists():  # without it, the .old folder of a run killed between two renames is the only copy
        for folder in target.parent.glob(f".{target.name}.*.old"):
            shutil.rmtree(folder, ignore_errors=True)


def abandoned(folder: Path, unclaimed_seconds: float = UNCLAIMED_SECONDS) -> bool:
    """Check that no running process holds the lock of a temporary folder.

    Args:
        folder: temporary folder.
        unclaimed_seconds: age from which it counts as abandoned without a lock file.

    Returns:
        False if it is locked, younger than that without a lock file, or on a file system without locks.
    """
    from filelock import FileLock

    if not (folder / CLAIM).is_file():
        return time.time() - folder.stat().st_mtime >= unclaimed_seconds
    try:
        with FileLock(folder / CLAIM, blocking=False):
            return True
    except (OSError, NotImplementedError):  # held by a running process, or the file system has no locks
        return False

"""Atomic writing: write to a temporary file, flush, then rename."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import BadInput

ALONE = (
    *(".nii", ".nii.gz", ".mgz", ".mgh", ".nrrd", ".mha"),
    *(".tfm", ".txt", ".mat", ".h5", ".xfm", ".lta", ".json", ".csv", ".tsv"),
)
HEADERS = (".mhd", ".nhdr", ".hdr", ".img", ".hdr.gz", ".img.gz")
HEADER_BYTES = 1 << 16
PARTIAL_SUFFIX = ".partial"
LOCK = ".lock"
OLD_SUFFIX, PREVIOUS = ".old", "previous"

_unfinished: dict[Path, Path] = {}  # temporary path -> final path of what is being written


def sha256(path: Path) -> str:
    """Compute the SHA-256 of a file's bytes.

    Args:
        path: file of any size; read in blocks of 1 MiB.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def is_alone(path: Path) -> bool:
    """Check whether a file holds all that is read from it: no header with a file of its own, no slice of a series.

    Args:
        path: file or folder.
    """
    return path.is_file() and path.name.lower().endswith(ALONE)


def companions(path: Path) -> list[Path]:
    """List the files that are read with a file, itself among them.

    Args:
        path: file that is not alone: a header (.mhd, .nhdr, .hdr, .img) with the files of its name and those that it
            names, or a DICOM slice with everything beside it.

    Returns:
        Sorted paths.
    """
    beside = [other for other in path.parent.iterdir() if other.is_file()]
    if not path.name.lower().endswith(HEADERS):
        return sorted(beside)
    text = path.read_bytes()[:HEADER_BYTES].decode("latin-1") if path.suffix.lower() in (".mhd", ".nhdr") else ""
    named = {line.replace("=", ":").partition(":")[2].strip() for line in text.splitlines()}
    stem = path.name.partition(".")[0]
    return sorted(other for other in beside if other.name.startswith(f"{stem}.") or other.name in named)


def files_below(folder: Path) -> Iterator[Path]:
    """Find all files below a folder, those below linked folders too; a folder that is reached twice counts once.

    Args:
        folder: folder.

    Yields:
        Paths, folder by folder, sorted; links to nothing among them.
    """
    reached: set[str] = set()
    for directory, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(directory)
        if real in reached:
            folders.clear()
            continue
        reached.add(real)
        folders.sort()
        yield from (Path(directory) / name for name in sorted(names))


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Write a file atomically: the block writes a temporary file, which is renamed to `target` if the block succeeds.

    Args:
        target: file to create or replace; missing parent folders are created.

    Yields:
        Temporary path beside `target` with the same ending; removed if the block fails.

    Raises:
        OSError: the disk is full or not writable; the error names `target`.
    """
    target = Path(target)
    temporary = _beside(target, PARTIAL_SUFFIX + "".join(target.suffixes[-2:]))
    _unfinished[temporary] = target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
        yield temporary
        with open(temporary, "rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except OSError as error:
        if error.filename is None or PARTIAL_SUFFIX in str(error.filename):  # name the file that the user knows
            error.filename = str(target)
        raise
    finally:
        with contextlib.suppress(OSError):  # report the first error, not this one
            temporary.unlink(missing_ok=True)
        _unfinished.pop(temporary, None)


def _beside(target: Path, suffix: str, prefix: str = "") -> Path:
    """Return a name beside `target` that no other process uses.

    The name is known before anything is created under it: if the process is stopped during creation,
    `remove_unfinished` still knows what to remove. With `tempfile` the name is only known once the call returns.
    """
    return target.parent / f".{prefix}{secrets.token_hex(8)}{suffix}"


def remove_unfinished() -> None:
    """Remove unfinished files and folders when a program was stopped.

    An exception raised by a signal can interrupt any `finally`, so the clean-up is completed here.
    """
    for temporary, target in list(_unfinished.items()):
        with contextlib.suppress(OSError):
            if temporary.suffix == OLD_SUFFIX:
                _put_back(temporary / PREVIOUS, target)
            if temporary.is_dir():
                _remove(temporary)
            else:
                temporary.unlink(missing_ok=True)
        _unfinished.pop(temporary, None)


def remove_partials(folder: Path) -> None:
    """Remove partial files left by killed processes.

    Args:
        folder: searched with its subfolders; no running process may be using it.
    """
    for left in list(folder.rglob(f".*{PARTIAL_SUFFIX}*")):
        shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


@contextlib.contextmanager
def scratch(parent: Path, prefix: str) -> Iterator[Path]:
    """Create a private temporary folder (mode 0700) for the duration of the block.

    Args:
        parent: existing folder.
        prefix: start of the folder's name.

    Yields:
        The folder; removed with its content at the end.
    """
    folder = _beside(parent / prefix, "", f"{prefix}.")
    _unfinished[folder] = folder
    try:
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        _remove(folder)
        _unfinished.pop(folder, None)


def make_writable(folder: Path) -> None:
    """Create a folder and check that it is writable.

    Args:
        folder: created with its parents if it does not exist.

    Raises:
        BadInput: the folder is not writable.
    """
    probe = _beside(folder / "probe", PARTIAL_SUFFIX)
    _unfinished[probe] = probe
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch(exist_ok=False)
    except OSError as error:
        raise BadInput(f"Cannot write to {folder}: {error.strerror or error}. Choose another output folder.") from error
    finally:
        with contextlib.suppress(OSError):  # report the first error, not this one
            probe.unlink(missing_ok=True)
        _unfinished.pop(probe, None)


def check_replaceable(target: Path, marker: str) -> None:
    """Check that `target` may be replaced.

    Args:
        target: output folder.
        marker: file that every output folder of this kind holds; without it only an empty folder may be replaced.

    Raises:
        BadInput: `target` is a file, or a folder with other content.
    """
    target = Path(target)
    if target.is_file() or (target.is_dir() and not (target / marker).is_file() and any(target.iterdir())):
        raise BadInput(
            f"{target} holds other files (it has no {marker}), which would be replaced. Choose another --out."
        )


@contextlib.contextmanager
def atomic_folder(target: Path, marker: str) -> Iterator[Path]:
    """Write a folder atomically: the block fills a temporary folder, which replaces `target` if the block succeeds.

    An older folder at `target` stays whole until the new one is complete.

    Args:
        target: folder to create or replace.
        marker: file that every output folder of this kind holds; no other folder is replaced.

    Yields:
        Temporary folder beside `target`; removed if the block fails.

    Raises:
        BadInput: the folder is not writable, or holds files but no `marker`.
    """
    check_replaceable(target, marker)
    target = Path(os.path.abspath(target))
    temporary = _beside(target, PARTIAL_SUFFIX, f"{target.name}.")
    _unfinished[temporary] = target
    try:
        _make_beside(target, temporary)
        yield temporary
        _replace_folder(temporary, target)
    finally:
        _remove(temporary)
        _unfinished.pop(temporary, None)


def _make_beside(target: Path, temporary: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir() and not os.access(target, os.W_OK):
            raise PermissionError(13, "the folder is read-only")
        temporary.mkdir()
    except OSError as error:
        reason = error.strerror or error
        raise BadInput(
            f"Cannot write to {target.parent}: {reason}. Choose another output folder with --out."
        ) from error


def _replace_folder(temporary: Path, target: Path) -> None:
    """Replace a folder by another; if interrupted, either the older or the new folder is in place."""
    if not target.exists():
        os.replace(temporary, target)
        return
    old = _beside(target, OLD_SUFFIX, f"{target.name}.")
    _unfinished[old] = target
    try:
        old.mkdir()
        os.replace(target, old / PREVIOUS)
        os.replace(temporary, target)
    finally:
        _put_back(old / PREVIOUS, target)
        _remove(old)
        _unfinished.pop(old, None)


def _put_back(previous: Path, target: Path) -> None:
    """Rename an older folder back to its place if nothing newer is there."""
    if previous.exists() and not target.exists():
        os.replace(previous, target)


def _remove(folder: Path) -> None:
    """Remove a folder with its content; if interrupted half-way, finish before the interruption goes on."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        if folder.exists():
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Lock a folder for this process during the block.

    Partial files of killed processes are removed. On a file system without locks, no lock is used.

    Args:
        folder: created if it does not exist, and removed again if the block fails before writing anything.

    Raises:
        BadInput: another process is using the folder.
    """
    from filelock import FileLock, Timeout  # Slicer's panel opens before it is installed

    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
        remove_partials(folder)
    except Timeout as error:
        raise BadInput(
            f"Another process is working in {folder}. Wait until it ends, or stop it; finished work is kept."
        ) from error
    except (OSError, NotImplementedError):  # no locks on this file system: partial files may be in use
        pass
    try:
        yield
    except BaseException:
        if new and folder.is_dir() and {path.name for path in folder.iterdir()} <= {LOCK}:
            shutil.rmtree(folder, ignore_errors=True)  # nothing was written yet
        raise
    finally:
        lock.release()


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically, indented, keys in the order given.

    Args:
        path: file to create or replace.
        content: JSON-compatible values.

    Raises:
        ValueError: `content` holds NaN or infinity.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(
            json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
        )


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Args:
        path: file in UTF-8.

    Returns:
        Its content.

    Raises:
        BadInput: the file is missing or not readable JSON; the message names it.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(f"{path} does not exist.") from error
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is not readable JSON ({error}). Restore it from its source.") from error


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically.

    Args:
        path: file to create or replace.
        text: whole content.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def refuse_file(folder: Path) -> None:
    """Check that a folder can be created.

    Args:
        folder: it need not exist.

    Raises:
        BadInput: a file has its name, or that of a folder above it.
    """
    if any(path.is_file() for path in (folder, *folder.parents)):
        raise BadInput(f"{folder} cannot be created: a file of that name exists. Choose another --out.")

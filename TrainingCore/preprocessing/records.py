"""Record of a prepared visit: its inputs and outputs, and whether they are up to date.

The key of a visit is a hash of its inputs, the options, and the code that prepares it. A file whose size, times and
inode are unchanged since it was hashed is not read again.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..runtime.errors import BadInput
from ..runtime.files import companions, files_below, is_alone, read_json, sha256

CODE = (
    "data/case.py",
    "imaging",
    "evaluation/lesions.py",
    "patient/preparation.py",
    "patient/tissues.py",
    "patient/case_preparation.py",
    "preprocessing/worker.py",
)
PACKAGES = ("SimpleITK", "deepbet")  # packages whose version affects the result


@functools.cache
def code_version() -> str:
    """Hash the source files and packages that affect the result of a visit."""
    return hash_of_code(CODE, PACKAGES)


def hash_of_code(names: Iterable[str], packages: Iterable[str] = ()) -> str:
    """Hash source files and package versions.

    Args:
        names: files and folders of this package, relative to its root.
        packages: distributions that also affect the result.

    Returns:
        16 hexadecimal digits.
    """
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for name in names:
        code = root / name
        for path in sorted(code.rglob("*.py")) if code.is_dir() else [code]:
            digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    for package in packages:
        try:
            digest.update(f"{package} {version(package)}".encode())
        except PackageNotFoundError:
            digest.update(f"{package} not installed".encode())
    return digest.hexdigest()[:16]


def _stamp(path: Path) -> list[int]:
    """Return attributes that reveal a change of a file: size (bytes), inode, and modification and change times (ns).

    Empty for a file whose voxels may be in others, for which this cannot be known without reading them.
    """
    if not is_alone(path):
        return []
    status = path.stat()
    return [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]


def content_of(path: Path, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Hash an input: a file, or a DICOM folder (all its files, linked ones too, `#SERIES` included in the hash).

    Of a file whose voxels may be in others (a DICOM slice, a header with a file of its own), the whole folder is
    hashed: all that begin with its name, or every file for a format without a fixed name.

    Args:
        path: file, folder or `FOLDER#SERIES`.
        known: entry of an earlier record; its hash is reused if its stamp is unchanged.

    Returns:
        `{file, sha256, stamp}`.
    """
    source = path if path.exists() else path.with_name(path.name.rpartition("#")[0])
    if source.is_dir() or not is_alone(source):
        digest = hashlib.sha256(path.name.encode())
        for file in filter(Path.is_file, files_below(source) if source.is_dir() else companions(source)):
            digest.update(os.path.relpath(file, source).encode() + bytes.fromhex(sha256(file)))
        return {"file": path.name, "sha256": digest.hexdigest(), "stamp": []}
    now = _stamp(source)
    same = known is not None and known.get("stamp") == now and known.get("file") == path.name
    return {"file": path.name, "sha256": known["sha256"] if same and known else sha256(source), "stamp": now}


def record_key(inputs: Mapping[str, Mapping[str, Any]], settings: Mapping[str, Any]) -> str:
    """Compute the key of a visit.

    Args:
        inputs: contents of the inputs by name, see `content_of`.
        settings: everything else that affects the result.

    Returns:
        SHA-256 of both and of the code, 64 hexadecimal digits.
    """
    hashes = {name: content["sha256"] for name, content in sorted(inputs.items())}
    text = json.dumps({"inputs": hashes, "settings": settings, "code": code_version()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def read_record(path: Path) -> dict[str, Any] | None:
    """Read the record of a visit.

    Args:
        path: the record.

    Returns:
        Its content, or None if it is missing or damaged; the visit is then prepared again.
    """
    try:
        record = read_json(path)
    except BadInput:
        return None
    needed = {"key", "inputs", "outputs", "settings", "measures", "warnings"}
    return record if isinstance(record, dict) and needed <= set(record) else None


def outputs_intact(out: Path, outputs: Mapping[str, Mapping[str, Any]]) -> bool:
    """Check that every file of a record exists with the size that was written.

    Args:
        out: folder of the dataset.
        outputs: `{bytes, sha256}` by relative path.
    """
    for name, about in outputs.items():
        try:
            if (out / name).stat().st_size != about["bytes"]:
                return False
        except OSError:
            return False
    return True


def untouched(files: Mapping[str, Path], record: Mapping[str, Any]) -> bool:
    """Check that no input was modified since the record was written.

    Args:
        files: inputs by name.
        record: record of the visit.

    Returns:
        False if an input changed, or is a DICOM folder, for which this cannot be known without reading it.
    """
    inputs = record["inputs"]
    if set(files) != set(inputs):
        return False
    for name, path in files.items():
        known = inputs[name]
        if not known["stamp"] or known["file"] != path.name:
            return False
        try:
            if _stamp(path) != known["stamp"]:
                return False
        except OSError:
            return False
    return True


def outputs_of(folder: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Hash the outputs of a visit for its record.

    Args:
        folder: folder that the names are relative to.
        names: relative paths of the files.

    Returns:
        `{bytes, sha256}` by relative path, sorted.
    """
    return {name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)} for name in sorted(names)}

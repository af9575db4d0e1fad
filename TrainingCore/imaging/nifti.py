"""Read NIfTI-1 and -2, single files and .hdr/.img pairs, Analyze and FreeSurfer's MGH, with nibabel.

The content decides, not the file name: gzip in a .nii and no gzip in a .nii.gz are read.
"""

from __future__ import annotations

import gzip
import logging
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..runtime.errors import BadInput
from .nifti_position import Forms, choose_form, forms_of, unit_scale
from .raw_image import RawImage, check_size, shear_notes, times

GZIP = b"\x1f\x8b"
NIFTI1_SIZE, NIFTI2_SIZE = 348, 540
MAGIC1, MAGIC2 = (b"n+1\0", b"ni1\0"), (b"n+2\0", b"ni2\0")
CIFTI_INTENTS = range(3000, 3100)
MM_PER_UNIT = {"meter": 1000.0, "micron": 0.001}
PAIR_ENDINGS = ((".hdr", ".img"), (".hdr.gz", ".img.gz"))
QUIET = logging.getLogger(f"{__name__}.nibabel")  # nibabel's messages about repaired headers are not shown to users
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False
ANALYZE_NOTES = ("is an Analyze file, which does not store its orientation; left and right may be swapped",)
DAMAGED = "{} is a truncated or damaged .gz file. Copy it again from its source."


def _is_gzip(path: Path) -> bool:
    """Check whether a file starts with the magic number of gzip."""
    with open(path, "rb") as stream:
        return stream.read(2) == GZIP


def _open_stream(path: Path) -> IO[bytes]:
    """Open a file, decompressed if it is gzip, whatever its name."""
    return gzip.open(path, "rb") if _is_gzip(path) else open(path, "rb")  # type: ignore[return-value]


def read_nifti(path: Path, label: str) -> RawImage:
    """Read a NIfTI file or a .hdr/.img pair.

    Args:
        path: the file, or either file of a pair; Analyze pairs are read too.
        label: name of the file in messages.

    Returns:
        Its voxels, affine (RAS mm), forms and notes.

    Raises:
        BadInput: the file is not a NIfTI volume, or is damaged.
    """
    header_path, data_path = _pair(path, label)
    start = _damage_named(lambda: _start(header_path), header_path, label)
    header = _header(start, header_path, label)
    if header is None:
        if header_path == data_path:
            raise BadInput(f"{label} is not a NIfTI file. Check what it is, or export it again.")
        return _read_analyze(header_path, label)
    if int(header["intent_code"]) in CIFTI_INTENTS:
        raise BadInput(f"{label} is a CIFTI surface file, not a NIfTI volume. Give the volume it was made from.")
    return _read_voxels(header, data_path, label)


def _read_voxels(header: Any, path: Path, label: str) -> RawImage:
    import nibabel as nib

    compressed = _is_gzip(path)
    try:
        shape, itemsize = header.get_data_shape(), header.get_data_dtype().itemsize
        scale, affine, forms, other, notes = _position(header, shape)
        check_size(shape, itemsize, path.stat().st_size, compressed, label)
        with _open_stream(path) as stream:
            data = np.asanyarray(nib.arrayproxy.ArrayProxy(stream, header, mmap=False))
    except (nib.spatialimages.HeaderDataError, KeyError, np.linalg.LinAlgError) as error:
        raise BadInput(f"{label} has a broken header (data type, units or position). Export it again.") from error
    except (EOFError, zlib.error, OSError, ValueError, OverflowError) as error:
        kind = "a truncated or damaged .gz file" if compressed else "truncated or damaged"
        raise BadInput(f"{label} is {kind}. Copy it again from its source.") from error
    in_mm = np.diag([scale, scale, scale, 1.0])
    return RawImage(data, in_mm @ affine, notes, forms=forms, other=None if other is None else in_mm @ other)


def _position(
    header: Any, shape: tuple[int, ...]
) -> tuple[float, np.ndarray, Forms | None, np.ndarray | None, tuple[str, ...]]:
    """Millimetres per unit, affine in the file's unit, forms for outputs, the form not used, notes."""
    spatial = (*shape, 1, 1, 1)[:3]
    forms, codes = forms_of(header), (int(header["qform_code"]), int(header["sform_code"]))
    choice = choose_form(forms, np.asarray(header.get_zooms()[:3], float), spatial, header.get_base_affine(), codes)
    if not np.isfinite(choice.affine).all():
        return 1.0, choice.affine, None, None, choice.notes
    unit = header.get_xyzt_units()[0]
    scale, unit_notes = unit_scale(choice.affine, spatial, MM_PER_UNIT.get(unit, 1.0), unit)
    notes = (*choice.notes, *unit_notes, *shear_notes(choice.affine))
    return scale, choice.affine, forms if choice.kept and scale == 1 else None, choice.other, notes


def _pair(path: Path, label: str) -> tuple[Path, Path]:
    """Return the files of header and voxels, the same file twice unless it is a pair."""
    name = path.name.lower()
    for endings in PAIR_ENDINGS:
        ending = next((known for known in endings if name.endswith(known)), None)
        if ending is None:
            continue
        stem = path.name[: -len(ending)]
        beside = {part.name.lower(): part for part in path.parent.iterdir() if part.name.startswith(stem)}
        files = []
        for suffix in (".hdr", ".img"):
            names = [f"{stem}{suffix}{more}".lower() for more in ("", ".gz")]
            part = next((beside[known] for known in names if known in beside), None)
            if part is None:
                raise BadInput(f"{label} needs {stem}{suffix} beside it. Copy both files (.hdr and .img) together.")
            files.append(part)
        return files[0], files[1]
    return path, path


def _start(path: Path) -> bytes:
    with _open_stream(path) as stream:
        return stream.read(NIFTI2_SIZE)


def _damage_named(action: Callable[[], bytes], path: Path, label: str) -> bytes:
    try:
        return action()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(DAMAGED.format(label)) from error
    except OSError as error:
        raise BadInput(f"{label} cannot be opened: {error.strerror or error}. Check its permissions.") from error


def _header(start: bytes, path: Path, label: str) -> Any | None:
    """Return the checked header of a NIfTI file, or None for other files."""
    import nibabel as nib

    kind: Any
    if start[4:8] in MAGIC2 and len(start) >= NIFTI2_SIZE:
        kind = nib.nifti2.Nifti2Header if start[5:6] == b"+" else nib.nifti2.Nifti2PairHeader
        block = start[:NIFTI2_SIZE]
    elif start[344:348] in MAGIC1:
        kind = nib.nifti1.Nifti1Header if start[345:346] == b"+" else nib.nifti1.Nifti1PairHeader
        block = start[:NIFTI1_SIZE]
    else:
        return None
    try:
        header = kind(block, check=False)
        header.check_fix(logger=QUIET, error_level=40)
        return header
    except (nib.spatialimages.HeaderDataError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise BadInput(f"{label} has a broken header (data type, units or position). Export it again.") from error


def _read_analyze(path: Path, label: str) -> RawImage:
    """Read an Analyze 7.5 pair, which does not store left and right; SPM's origin and .mat are used."""
    return _by_nibabel(path, label, "an Analyze or NIfTI file", "Spm2AnalyzeImage", ANALYZE_NOTES)


def read_mgh(path: Path, label: str) -> RawImage:
    """Read FreeSurfer's .mgz or .mgh.

    Args:
        path: the file.
        label: name of the file in messages.

    Returns:
        Its voxels and affine (RAS mm).

    Raises:
        BadInput: the file is damaged.
    """
    return _by_nibabel(path, label, "in FreeSurfer's format", "MGHImage", ())


def _by_nibabel(path: Path, label: str, kind: str, class_name: str, notes: tuple[str, ...]) -> RawImage:
    import nibabel as nib

    try:
        image = getattr(nib, class_name).from_filename(path)
        shape, size = image.shape, image.header.get_data_dtype().itemsize
        voxels = Path(image.file_map["image"].filename)
        check_size(shape, size, voxels.stat().st_size, _is_gzip(voxels), label)
        affine = np.asarray(image.affine, float)
        if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise ValueError(f"affine of {times(shape)}")
        return RawImage(np.asanyarray(image.dataobj), affine, notes)
    except BadInput:
        raise
    except Exception as error:  # nibabel raises many kinds on a damaged header
        raise BadInput(f"{label} is damaged or not {kind}. Copy it again from its source.") from error

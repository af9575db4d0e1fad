"""Read, check, write and resample volumes.

Arrays are (I, J, K), affines are 4x4 from voxel indices to world mm, RAS+. A transform between two images is a 4x4
matrix in RAS mm that maps a point of the fixed (output) image to the moving (input) image, the direction ITK uses.
"""

from __future__ import annotations

import gzip
import hashlib
import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..runtime.errors import BadInput
from ..runtime.files import atomic_path
from ..runtime.numerals import format_percent
from . import readers
from .background import without_nan
from .mask_values import binary_mask
from .nifti_position import Forms

if TYPE_CHECKING:
    import SimpleITK as sitk

LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
GZIP_LEVEL = 3  # level 6 takes three times as long for 3 % less (measured on a 128^3 float32 MRI)


@dataclass(frozen=True)
class Volume:
    """One 3D image and its position.

    Attributes:
        data: float32 (I, J, K).
        affine: 4x4, voxel indices -> world mm, RAS+.
        name: file name as given, for messages.
        notes: sentences for the user about how the file was read.
        forms: of its NIfTI header, which outputs on this grid keep.
        other: a second 4x4 by which other files may refer to this grid (a sform to MNI beside a scanner's qform).
    """

    data: np.ndarray
    affine: np.ndarray
    name: str = ""
    notes: tuple[str, ...] = ()
    forms: Forms | None = None
    other: np.ndarray | None = None

    @property
    def spacing(self) -> np.ndarray:
        """Voxel edge lengths in mm."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel in mm3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def with_data(self, data: np.ndarray) -> Volume:
        """Return a volume with other values on the same grid.

        Args:
            data: (I, J, K).
        """
        return replace(self, data=data)


def read_volume(path: Path | str, what: str = "T1w", mask: bool = False, may_be_empty: bool = False) -> Volume:
    """Read a 3D image from NIfTI, Analyze (.hdr/.img), MGH (.mgz), NRRD, MetaImage or DICOM; values are not rescaled.

    NaN around the image count as background. The size in the header is checked against the size of the file before
    anything is allocated.

    Args:
        path: file; or DICOM folder, in which the T1w or FLAIR is identified by its tags; or `FOLDER#NUMBER` with the
            number of a series.
        what: name of the input in messages (`T1w`, `lesion mask`).
        mask: return 0/1, thresholded at the middle of the file's scale (see `mask_values`); an empty mask is accepted.
        may_be_empty: accept any other image of a single value too.

    Returns:
        The volume, with notes.

    Raises:
        BadInput: the image cannot be used; one sentence.
    """
    path = Path(path)
    raw = readers.read_image(path, what)
    name = raw.name or path.name
    label = f"The {what} {name}"
    data = readers.to_three_dimensions(raw.data, label)
    with np.errstate(over="ignore"):
        data = np.ascontiguousarray(data, dtype=np.float32)
    data, notes = _finite(data if data is not raw.data else data.copy(), label)
    volume = Volume(data, raw.affine, name, (*raw.notes, *notes), raw.forms, raw.other)
    if mask:
        inside, note = binary_mask(data, label)
        return replace(volume, data=inside, notes=(*volume.notes, note) if note else volume.notes)
    if data.min() == data.max() and not may_be_empty:
        value = "zero" if data.flat[0] == 0 else f"{data.flat[0]:g}"
        raise BadInput(f"{label} is {value} in every voxel, so it holds no image. Export it again from its source.")
    return volume


def _finite(data: np.ndarray, label: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The data with NaN outside the head replaced, and a note; raises BadInput for NaN inside."""
    data, outside, inside = without_nan(data)
    if inside:
        raise BadInput(
            f"{label} holds {inside} voxels ({format_percent(inside / data.size)}) that are NaN or infinite within the "
            "head. Replace them and try again."
        )
    share = format_percent(outside / data.size)
    note = f"is NaN or infinite in {share} of its voxels, around the head; they count as background"
    return data, (note,) if outside else ()


def content_sha256(volume: Volume) -> str:
    """Hash the values and position of a volume; this identifies a series of many files.

    Args:
        volume: volume.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256(np.ascontiguousarray(volume.data).tobytes())
    digest.update(np.asarray(volume.affine, "<f8").tobytes())
    return digest.hexdigest()


def write_volume(
    path: Path | str, data: np.ndarray, affine: np.ndarray, description: str = "", forms: Forms | None = None
) -> None:
    """Write a NIfTI file (.nii or .nii.gz) atomically; the same input gives the same bytes.

    Args:
        path: file to write.
        data: (I, J, K); bool is stored as uint8, floating point as float32, integers unchanged.
        affine: 4x4 voxel -> world mm, RAS+.
        description: up to 79 characters of ASCII for the header.
        forms: qform and sform of the image whose grid this is (`Volume.forms`), written with their codes, so that every
            viewer overlays the two; None: both are `affine`, code 1.
    """
    import nibabel as nib

    path = Path(path)
    if data.dtype == bool:
        data = data.astype(np.uint8)
    elif np.issubdtype(data.dtype, np.floating):
        data = data.astype(np.float32)
    image = nib.Nifti1Image(np.asarray(data), np.asarray(affine, float))
    if forms is None:
        image.set_sform(affine, code=1)
        image.set_qform(affine, code=0 if readers.shear(affine) > readers.SHEAR_TOLERANCE else 1)
    else:
        header = image.header
        header.set_zooms(np.linalg.norm(np.asarray(affine, float)[:3, :3], axis=0))
        header.set_sform(forms.sform, code=forms.sform_code)
        header.set_qform(forms.qform, code=forms.qform_code, strip_shears=True)
        image = nib.Nifti1Image(np.asarray(data), None, header)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = description.encode("ascii", "replace")[:79]
    content = image.to_bytes()
    if path.name.endswith(".gz"):
        buffer = io.BytesIO()
        with gzip.GzipFile(filename="", fileobj=buffer, mode="wb", compresslevel=GZIP_LEVEL, mtime=0) as stream:
            stream.write(content)
        content = buffer.getvalue()
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def to_sitk(volume: Volume) -> sitk.Image:
    """Convert a volume to a SimpleITK image at the same world position.

    Args:
        volume: volume (RAS mm).

    Returns:
        float32 image (LPS mm).
    """
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(np.asarray(volume.data, np.float32).T))
    lps = LPS_FROM_RAS @ np.asarray(volume.affine, float)
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def resample(
    volume: Volume,
    shape: tuple[int, int, int],
    affine: np.ndarray,
    matrix: np.ndarray | None = None,
    interpolation: str = "linear",
    outside: float = 0.0,
) -> np.ndarray:
    """Resample a volume to another grid.

    Args:
        volume: volume.
        shape: voxels of the output grid along each axis.
        affine: 4x4 of the output grid, voxel -> world RAS mm.
        matrix: 4x4 that maps output world to input world, RAS mm; None for the identity.
        interpolation: `linear`, `nearest` or `bspline` (cubic).
        outside: value beyond the volume.

    Returns:
        float32 of `shape`.

    Raises:
        ValueError: unknown interpolation.
    """
    import SimpleITK as sitk

    kinds = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor, "bspline": sitk.sitkBSpline}
    if interpolation not in kinds:
        raise ValueError(f"interpolation must be one of {', '.join(kinds)}, not {interpolation!r}")
    lps = LPS_FROM_RAS @ np.asarray(affine, float)
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    filter_ = sitk.ResampleImageFilter()
    filter_.SetSize([int(n) for n in shape])
    filter_.SetOutputSpacing(spacing.tolist())
    filter_.SetOutputDirection((lps[:3, :3] / spacing).ravel().tolist())
    filter_.SetOutputOrigin(lps[:3, 3].tolist())
    filter_.SetInterpolator(kinds[interpolation])
    filter_.SetDefaultPixelValue(float(outside))
    filter_.SetTransform(sitk_transform(np.eye(4) if matrix is None else matrix))
    return np.ascontiguousarray(sitk.GetArrayFromImage(filter_.Execute(to_sitk(volume))).T)


def sitk_transform(matrix: np.ndarray) -> sitk.AffineTransform:
    """Convert a matrix to an ITK transform.

    Args:
        matrix: 4x4, RAS mm.

    Returns:
        Affine transform in LPS mm.
    """
    import SimpleITK as sitk

    lps = LPS_FROM_RAS @ np.asarray(matrix, float) @ LPS_FROM_RAS
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetTranslation(lps[:3, 3].tolist())
    return transform


def matrix_of_sitk(transform: sitk.Transform) -> np.ndarray:
    """Convert a linear ITK transform to a matrix.

    Args:
        transform: linear transform of any class and centre, LPS mm.

    Returns:
        4x4, RAS mm.
    """
    points = np.vstack([np.zeros(3), np.eye(3)])
    mapped = np.array([transform.TransformPoint(point.tolist()) for point in points])
    lps = np.eye(4)
    lps[:3, 3] = mapped[0]
    lps[:3, :3] = (mapped[1:] - mapped[0]).T
    return LPS_FROM_RAS @ lps @ LPS_FROM_RAS


def corners(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """Compute the eight outer corners of a grid.

    Args:
        shape: voxels along each axis.
        affine: 4x4, voxel -> world mm.

    Returns:
        (8, 3), world mm.
    """
    ends = [(-0.5, n - 0.5) for n in shape[:3]]
    grid = np.array([[i, j, k, 1.0] for i in ends[0] for j in ends[1] for k in ends[2]])
    return (grid @ np.asarray(affine, float).T)[:, :3]


def same_grid(first: Volume, second: Volume, tolerance_mm: float = 0.01) -> bool:
    """Check whether two volumes have the same grid.

    Args:
        first: volume.
        second: volume.
        tolerance_mm: largest distance between corresponding corners.
    """
    if first.data.shape != second.data.shape:
        return False
    gap = corners(first.data.shape, first.affine) - corners(second.data.shape, second.affine)
    return bool(np.abs(gap).max() <= tolerance_mm)

"""Writes one drawn patient in random combinations of header, data type, mask kind and path, and reads it again.

python -m Testing.fuzzing.combinations --seconds 300        # the long run; prints the seeds of findings
Every seed is one combination. What is read must be the patient that was drawn: T1w values and place, volume and centre
of a lesion on the left. A refusal (BadInput) counts as a finding too, since every combination can be read.
"""

from __future__ import annotations

import argparse
import gzip
import os
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from TrainingCore.imaging.checks import check_lesion_load, lesions_on_grid  # noqa: E402
from TrainingCore.imaging.placement import in_reference_world, place  # noqa: E402
from TrainingCore.imaging.reading import read_named  # noqa: E402
from TrainingCore.imaging.volumes import Volume, to_sitk  # noqa: E402
from TrainingCore.runtime.errors import BadInput  # noqa: E402

WORLD_MM = (184.0, 208.0, 176.0)
LEFT = np.array([-38.0, 12.0, 14.0])  # RAS mm: on the patient's left
RADIUS_MM = 17.0
TO_MNI = np.array([[1.14, 0.02, -0.01, 3], [-0.015, 1.12, 0.06, -5], [0.01, -0.05, 1.16, 8], [0, 0, 0, 1.0]])
MOVED = np.eye(4)
MOVED[:3, 3] = (5.3, -4.1, 3.2)
FORMATS = ("nii", "nii.gz", "gzip in nii", "plain in nii.gz", "hdr", "mgz", "nrrd", "mha")
FOLDERS = ("plain", "Müller nach KM", "a b  c", "x" * 120, "12:30", "100%d %s", "-case", "日本語", "new\nline")
INTENSITIES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "plain": lambda x, head: x,
    "lowered": lambda x, head: x - 1024,
    "-1 to 1": lambda x, head: 2 * x / x.max() - 1,
    "z-scores": lambda x, head: (x - x.mean()) / x.std(),
    "z-scores in 0": lambda x, head: np.where(head, (x - x[head].mean()) / x[head].std(), 0),
    "NaN around": lambda x, head: np.where(ndimage.binary_dilation(head), x, np.nan),
    "tiny": lambda x, head: x * 1e-7,
}
MASKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "0 1": lambda m: m.astype(np.uint8),
    "0 255": lambda m: 255 * m.astype(np.uint8),
    "labels": lambda m: (m * np.where(np.cumsum(m, axis=0) > 3, 12, 40)).astype(np.int16),
    "probability": lambda m: _soft(m),
    "SPM": lambda m: np.round(255 * _soft(m)).astype(np.float32) * np.float32(0.00392157),
    "percent": lambda m: 100 * _soft(m),
    "8 bits": lambda m: np.round(255 * _soft(m)).astype(np.uint8),
    "splines": lambda m: ndimage.shift(ndimage.shift(m.astype(np.float32), 0.4, order=3), -0.4, order=3),
    "float": lambda m: m.astype(np.float64),
}
TYPES = ("<i2", "<f4", "<f8", ">i2", ">f4", "<i4", "<u2")


def _soft(mask: np.ndarray) -> np.ndarray:
    blurred = ndimage.gaussian_filter(mask.astype(np.float32), 0.6)
    return blurred / blurred.max()


@dataclass(frozen=True)
class Combination:
    """What a seed stands for."""

    form: str
    place: str
    intensity: str
    kind: str
    mask: str
    mask_place: str
    folder: str


def affine_of(rng: np.random.Generator) -> tuple[np.ndarray, tuple[int, int, int]]:
    """A random grid of a head: any order and direction of axes, oblique or not, voxels of 3 to 6 mm."""
    order, signs, edges = rng.permutation(3), rng.choice([-1, 1], 3), rng.uniform(3, 6, 3)
    shape = tuple(int(np.ceil(WORLD_MM[axis] / edge)) for axis, edge in zip(order, edges))
    linear = np.zeros((3, 3))
    for axis in range(3):
        linear[order[axis], axis] = signs[axis] * edges[axis]
    if rng.random() < 0.5:
        angle = rng.uniform(-0.3, 0.3)
        c, s = np.cos(angle), np.sin(angle)
        linear = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ linear
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = rng.uniform(-3, 3, 3) - linear @ ((np.array(shape) - 1) / 2)
    return affine, (shape[0], shape[1], shape[2])


def draw(affine: np.ndarray, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """T1w (float), head and lesion (bool) on a grid."""
    world = np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    x, y, z = np.moveaxis(world, -1, 0)
    radius = np.sqrt((x / 66) ** 2 + (y / 80) ** 2 + (z / 62) ** 2)
    t1w = np.select([radius < 0.7, radius < 1], [700.0, 500.0], 0.0) * (1 + 0.1 * np.sin(x / 7) * np.cos(y / 9))
    t1w[radius < 1] += np.random.default_rng(3).normal(0, 15, int((radius < 1).sum()))
    return np.round(t1w), radius < 1, np.linalg.norm(world - LEFT, axis=-1) < RADIUS_MM


def write(path: Path, data: np.ndarray, affine: np.ndarray, place_kind: str, form: str) -> Path:
    """Write an image in a format; place_kind: how the header says where it lies. Returns the path to read."""
    import SimpleITK as sitk

    if form in ("nrrd", "mha"):
        path = path.with_name(f"{path.name}.{form}")
        float_data = data.astype(np.float32)
        sitk.WriteImage(to_sitk(Volume(float_data, affine)), str(path))
        return path
    if form == "mgz":
        path = path.with_name(f"{path.name}.mgz")
        nib.save(nib.MGHImage(data.astype(np.float32), affine), path)
        return path
    image = (nib.Nifti1Pair if form == "hdr" else nib.Nifti1Image)(data, affine)
    image.header.set_xyzt_units("micron" if place_kind == "micron" else "mm")
    q, s = {"sform": (0, 1), "qform": (1, 0), "template": (1, 4), "codes 2": (2, 2)}.get(place_kind, (1, 1))
    image.set_qform(affine if q else None, q)
    image.set_sform((TO_MNI @ affine if place_kind == "template" else affine) if s else None, s)
    if form == "hdr":
        path = path.with_name(f"{path.name}.hdr")
        nib.save(image, path)
        return path
    content = bytearray(image.to_bytes())
    endian = image.header.endianness
    if place_kind == "quaternion":
        struct.pack_into(f"{endian}fff", content, 256, 0.0, 1.0000003, 0.0)
    path = path.with_name(f"{path.name}.{'nii' if form in ('nii', 'gzip in nii') else 'nii.gz'}")
    packed = form in ("nii.gz", "gzip in nii")
    path.write_bytes(gzip.compress(bytes(content), 1) if packed else bytes(content))
    return path


PLACES = ("both", "sform", "qform", "template", "codes 2", "quaternion", "micron")
MASK_PLACES = ("same", "turned", "cropped", "finer", "on the FLAIR", "on the FLAIR, turned", "on the FLAIR, cropped")


def placed(data: np.ndarray, affine: np.ndarray, how: str) -> tuple[np.ndarray, np.ndarray]:
    """A mask as `how` says: turned to RAS, cropped to its box, in finer voxels, in the world of the FLAIR."""
    if how.startswith("on the FLAIR"):
        affine = MOVED @ affine
    if how.endswith("turned"):
        image = nib.as_closest_canonical(nib.Nifti1Image(data, affine, dtype=data.dtype))
        return np.asarray(image.dataobj), image.affine
    if how.endswith("cropped"):
        box = ndimage.find_objects((np.abs(data) > 0.02 * np.abs(data).max()).astype(np.int8))[0]
        corner = affine.copy()
        corner[:3, 3] = (affine @ [*(part.start for part in box), 1])[:3]
        return data[box], corner
    if how == "finer":
        fine = affine @ np.diag([0.5, 0.5, 0.5, 1])
        fine[:3, 3] = (affine @ [-0.25, -0.25, -0.25, 1])[:3]
        return np.repeat(np.repeat(np.repeat(data, 2, 0), 2, 1), 2, 2), fine
    return data, affine


def choose(rng: np.random.Generator) -> Combination:
    """A random combination that can be read."""
    form = str(rng.choice(FORMATS))
    place_kind = str(rng.choice(PLACES)) if form not in ("nrrd", "mha", "mgz") else "both"
    if form == "hdr" and place_kind == "quaternion":
        place_kind = "both"
    kind = "<f4" if form in ("nrrd", "mha", "mgz") else str(rng.choice(TYPES))
    intensity = str(rng.choice(list(INTENSITIES)))
    if intensity in ("-1 to 1", "z-scores", "z-scores in 0", "NaN around", "tiny") and "f" not in kind:
        intensity = "plain"
    if intensity == "lowered" and "u" in kind:
        intensity = "plain"
    mask_place = str(rng.choice(MASK_PLACES))
    mask = str(rng.choice(list(MASKS)))
    if mask == "splines" and "cropped" in mask_place:
        mask = "0 1"
    return Combination(form, place_kind, intensity, kind, mask, mask_place, str(rng.choice(FOLDERS)))


def try_seed(seed: int, folder: Path) -> tuple[Combination, str]:
    """Write, read and compare one combination; returns it and what is wrong, or an empty string."""
    rng = np.random.default_rng(seed)
    combination = choose(rng)
    affine, shape = affine_of(rng)
    t1w, head, lesion = draw(affine, shape)
    here = folder / combination.folder
    here.mkdir(exist_ok=True)
    values = INTENSITIES[combination.intensity](t1w, head).astype(combination.kind)
    data, mask_affine = placed(np.asarray(MASKS[combination.mask](lesion)), affine, combination.mask_place)
    mask_form = combination.form if data.dtype.kind != "f" or combination.form != "hdr" else "nii"
    files = {
        "t1w": write(here / "t1", values, affine, combination.place, combination.form),
        "flair": write(here / "flair", t1w.astype("<i2"), MOVED @ affine, "both", "nii"),
        "lesions": write(here / "les", data, mask_affine, "both", mask_form),
    }
    try:
        read = in_reference_world({name: read_named(path, name) for name, path in files.items()}, "t1w")
        where = place(read["lesions"], "lesion mask", {name: read[name] for name in ("t1w", "flair")})
        if where.follows == "flair":
            back = np.linalg.inv(MOVED) @ read["lesions"].affine
            read["lesions"] = Volume(read["lesions"].data, back, "les")
        brain = read["t1w"].with_data(head.astype(np.float32))
        check_lesion_load(read["lesions"], brain)
        kept, _ = lesions_on_grid(read["lesions"], read["t1w"], brain)
    except BadInput as error:
        return combination, f"refused: {error}"
    return combination, difference(read["t1w"], t1w, affine, head, kept, lesion)


def difference(
    read: Volume, t1w: np.ndarray, affine: np.ndarray, head: np.ndarray, kept: Volume, lesion: np.ndarray
) -> str:
    """What differs between the patient that was read and the one that was drawn, or an empty string."""
    if np.abs(read.affine - affine).max() > 0.02:
        return "the T1w lies elsewhere"
    if np.corrcoef(read.data[head], t1w[head])[0, 1] < 0.995:
        return "the T1w has other values"
    if np.median(read.data[~head]) > 0.05 * np.median(read.data[head]):
        return "the air is not at 0"
    volume = kept.data.sum() / (lesion & head).sum()
    if not 0.85 < volume < 1.15:
        return f"the lesion has {volume:.2f} of its volume"
    centres = [
        np.argwhere(mask).mean(axis=0) @ affine[:3, :3].T + affine[:3, 3] for mask in (kept.data > 0, lesion & head)
    ]
    off = float(np.linalg.norm(centres[0] - centres[1]))
    return f"the lesion lies {off:.1f} mm off" if off > 1.0 else ""


def run(first: int, count: int, seconds: float = 1e9) -> tuple[Counter[str], list[str]]:
    """Try seeds; returns how often each part of a combination was right, and the findings."""
    right: Counter[str] = Counter()
    findings, ends = [], time.monotonic() + seconds
    for seed in range(first, first + count):
        if time.monotonic() > ends:
            break
        with tempfile.TemporaryDirectory() as folder:
            try:
                combination, wrong = try_seed(seed, Path(folder))
            except Exception as error:
                combination, wrong = None, f"{type(error).__name__}: {error}"
        if wrong:
            findings.append(f"{seed}: {combination}: {wrong}")
        else:
            right.update(f"{name} {value!r}" for name, value in vars(combination).items())
            right["combinations"] += 1
    return right, findings


def main() -> int:
    """Run and print the findings."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=float, default=300)
    options.add_argument("--first", type=int, default=0)
    options.add_argument("--count", type=int, default=10**9)
    given = options.parse_args()
    right, findings = run(given.first, given.count, given.seconds)
    print("\n".join(f"{name:40} {number}" for name, number in sorted(right.items())))
    print("\n".join(findings))
    print(f"{right['combinations']} right, {len(findings)} findings", os.linesep, end="")
    return 1 if findings else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Real lesion masks in MNI space, placed into simulated brains through the template's deformation."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import numpy as np

from ..runtime.errors import BadInput
from .anatomy import FIELD_OF_VIEW_MM, Anatomy, spread_coarse
from .lesion_growth import with_states
from .lesions import Lesions, no_lesions
from .mask_checks import check_masks, read_mask
from .randomness import stream
from .template import load_template

PATTERN = "*mask.nii.gz"


def list_masks(folder: Path) -> list[Path]:
    """List the masks of a folder and check them.

    Args:
        folder: folder of lesion masks in MNI space.

    Returns:
        Paths, sorted.

    Raises:
        BadInput: there is none, or one of them cannot be placed into simulated people.
    """
    paths = sorted(Path(folder).glob(PATTERN))
    if not paths:
        raise BadInput(f"{folder} holds no {PATTERN}. Give a folder of lesion masks in MNI space with --lesion-masks.")
    check_masks(paths)
    return paths


def digest_of(paths: list[Path]) -> str:
    """Hash masks.

    Args:
        paths: the masks.

    Returns:
        Sixteen hexadecimal digits that change with their names or bytes.
    """
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def choose_mask(paths: list[Path], person_seed: int) -> Path:
    """Choose the mask whose lesions a person gets.

    Args:
        paths: masks to choose from.
        person_seed: seed of the person.
    """
    return paths[int(stream(person_seed, "lesion mask").integers(len(paths)))]


@functools.lru_cache(maxsize=64)
def _read(path: str) -> tuple[np.ndarray, np.ndarray]:
    volume = read_mask(Path(path))
    return volume.data > 0, volume.affine


def split_confluent(
    lesional: np.ndarray, voxel: float, random: np.random.Generator, territory_mm3: int = 3000
) -> np.ndarray:
    """Number lesions; confluent ones are split into a mosaic of adjoining lesions, one per 3 ml (ours).

    Args:
        lesional: bool (n, n, n).
        voxel: edge in mm.
        random: random generator.
        territory_mm3: volume per lesion of a mosaic.

    Returns:
        int32 (n, n, n), 0 outside.
    """
    from scipy import ndimage

    owner, count = ndimage.label(lesional, np.ones((3, 3, 3)))
    boxes = ndimage.find_objects(owner)
    for number, box in enumerate(boxes, start=1):
        points = np.argwhere(owner[box] == number)
        territories = 1 + int(len(points) * voxel**3 // territory_mm3)
        if territories == 1:
            continue
        seeds = points[random.choice(len(points), territories, replace=False)]
        nearest = ((points[:, None] - seeds[None]) ** 2).sum(axis=2).argmin(axis=1)
        part = owner[box]
        part[tuple(points.T)] = np.where(nearest == 0, number, count + nearest)
        count += territories - 1
    return owner.astype(np.int32)


def place_lesions(anatomy: Anatomy, mask_path: str, person_seed: int) -> Lesions:
    """Place the lesions of a real mask into a person's brain, half of them mirrored left to right (ours).

    Their tissue states are simulated.

    Args:
        anatomy: of the person; its displacement maps a point of the brain to the template's.
        mask_path: lesion mask in MNI space, any grid.
        person_seed: seed of the person.

    Returns:
        Lesions of the first visit; voxels outside tissue, and lesions smaller than a voxel, are left out.

    Raises:
        BadInput: the mask cannot be read.
    """
    from scipy import ndimage

    mask, affine = _read(mask_path)
    template = load_template()
    size = anatomy.shape[0]
    line = (np.arange(size) - (size - 1) / 2.0) * FIELD_OF_VIEW_MM / size
    world = np.stack([spread_coarse(part, size) for part in anatomy.displacement])
    for axis in range(3):
        world[axis] += (line + template.centre[axis]).reshape([-1 if other == axis else 1 for other in range(3)])
    if stream(person_seed, "mirrored").random() < 0.5:
        world[0] = -world[0]
    inverse = np.linalg.inv(affine)
    at = np.einsum("ab,bn->an", inverse[:3, :3], world[:, anatomy.brain]) + inverse[:3, 3:]
    inside = ndimage.map_coordinates(mask.astype(np.float32), at, order=1) > 0.5
    tissue = anatomy.fluid[anatomy.brain] < 0.5
    lesional = np.zeros(anatomy.shape, bool)
    lesional[anatomy.brain] = inside & tissue
    lesions = no_lesions(anatomy.shape)
    lesions.owner[:] = split_confluent(lesional, anatomy.voxel, stream(person_seed, "territories"))
    return with_states(lesions, anatomy, person_seed)

"""T1w and FLAIR of simulated and real lesions, relative to normal-appearing white matter.

Real patients: skull-stripped, bias-corrected T1w and FLAIR in MNI space with a lesion mask (two of Lesjak et al.,
Neuroinformatics 2018, CC-BY). Their white matter is the template's, so that its border is only as good as the
registration to MNI space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..imaging.labelling import label_lesions
from ..runtime.cli import Progress
from ..runtime.errors import BadInput

SMALLEST_MM3 = 10.0  # a simulated voxel has 3.4 mm3: smaller components have no shape on that grid
IMAGES = ("t1w", "flair")
REAL_FILES = {
    "t1w": "*_space-MNI152_desc-brain_T1w.nii.gz",
    "flair": "*_space-MNI152_desc-brain_FLAIR.nii.gz",
    "lesions": "*_label-lesion_mask.nii.gz",
}


@dataclass
class Intensities:
    """T1w and FLAIR in the lesions of a person, relative to the median of NAWM.

    Attributes:
        name: name of the person in the figure.
        voxels: every lesional voxel, (2, n).
        means: mean of every lesion, (2, lesions).
        volumes: volume of every lesion in mm3, (lesions,).
    """

    name: str
    voxels: np.ndarray
    means: np.ndarray
    volumes: np.ndarray


def lesion_intensities(
    name: str, images: Sequence[np.ndarray], lesions: np.ndarray, white_matter: np.ndarray, voxel_volume: float
) -> Intensities:
    """Measure T1w and FLAIR in lesions; NAWM: eroded white matter at least 3 voxels from a lesion.

    Args:
        name: name of the person in the figure.
        images: T1w and FLAIR, (I, J, K).
        lesions: lesion mask, bool (I, J, K).
        white_matter: bool (I, J, K), lesions included or not.
        voxel_volume: mm3 of one voxel.

    Returns:
        Intensities of all lesional voxels; means of lesions of SMALLEST_MM3 or more.

    Raises:
        BadInput: no normal-appearing white matter is left.
    """
    from scipy import ndimage

    nawm = ndimage.binary_erosion(white_matter, iterations=2) & ~ndimage.binary_dilation(lesions, iterations=3)
    if not nawm.any():
        raise BadInput(f"{name} has no white matter away from lesions. Check that the images lie in MNI space.")
    relative = [image / np.median(image[nawm]) for image in images]
    labels, volumes = label_lesions(lesions, voxel_volume, SMALLEST_MM3)
    numbers = np.arange(1, len(volumes) + 1)
    means = np.array([ndimage.mean(image, labels, numbers) for image in relative]).reshape(2, len(volumes))
    return Intensities(name, np.array([image[lesions] for image in relative]), means, volumes)


def real_intensities(folder: Path) -> list[Intensities]:
    """Measure the lesions of every person of a BIDS-like folder in MNI space.

    Args:
        folder: folder with sub-* folders; people without the files of REAL_FILES are left out.

    Returns:
        One entry per person.

    Raises:
        BadInput: there is no such person.
    """
    import nibabel
    from scipy import ndimage

    from .template import load_template

    template, people = load_template(), []
    for person in sorted(Path(folder).glob("sub-*")):
        paths = {name: next(iter(sorted(person.rglob(ending))), None) for name, ending in REAL_FILES.items()}
        paths["t1w"] = next((p for p in sorted(person.rglob(REAL_FILES["t1w"])) if "_ce-" not in p.name), None)
        if None in paths.values():
            continue
        images = {name: nibabel.nifti1.load(str(path)) for name, path in paths.items()}
        arrays = {name: np.asarray(image.dataobj) for name, image in images.items()}
        matrix = np.linalg.inv(template.affine) @ images["t1w"].affine
        shape = images["t1w"].shape
        white = ndimage.affine_transform(template.white_matter, matrix, output_shape=shape, order=1) > 0.9
        white &= _like_white_matter(arrays["t1w"], white)
        people.append(
            lesion_intensities(
                person.name, [arrays[name] for name in IMAGES], arrays["lesions"] > 0, white, _volume(images["t1w"])
            )
        )
    if not people:
        raise BadInput(f"{folder} holds no person with {', '.join(REAL_FILES.values())}. Give such a folder.")
    return people


def _like_white_matter(t1w: np.ndarray, white: np.ndarray) -> np.ndarray:
    """Select voxels whose T1w is near the mode of the template's white matter: excludes misplaced fluid."""
    level = np.percentile(t1w[white], 75)
    return np.abs(t1w / level - 1.0) < 0.25


def _volume(image: object) -> float:
    return float(abs(np.linalg.det(np.asarray(image.affine)[:3, :3])))  # type: ignore[attr-defined]


def digital_intensities(count: int, site: str, seed: int, size: int, progress: Progress) -> list[Intensities]:
    """Simulate the MRI of patients at their first visit and measure their lesions.

    Args:
        count: number of patients.
        site: A, B, C or R.
        seed: seed of the patients.
        size: voxels along each edge of 192 mm.
        progress: shows the finished share.

    Returns:
        One entry per patient.
    """
    from .patient import simulate_with_truth
    from .people import draw_people

    people = []
    for label, person in draw_people(site, seed, count, 0):
        case, scene = simulate_with_truth(person, 1, size, IMAGES, label)
        white = (scene.anatomy.white_matter > 0.9) & case.volumes["brain"]
        images = [case.volumes[name] for name in IMAGES]
        people.append(lesion_intensities(label, images, case.volumes["lesions"], white, case.voxel_volume))
        progress.report("simulate", len(people) / count, f"Simulated sub-{label}")
    return people


def percentile_lines(real: Sequence[Intensities], digital: Sequence[Intensities]) -> str:
    """Describe the distribution of lesional voxels.

    Args:
        real: real people, one line per person and contrast.
        digital: simulated patients, pooled.

    Returns:
        Percentiles as text, one line each.
    """
    lines = []
    for name, samples in (*((sample.name, [sample]) for sample in real), ("simulated", digital)):
        voxels = np.concatenate([sample.voxels for sample in samples], axis=1)
        percentiles = np.percentile(voxels, [5, 25, 50, 75, 95], axis=1)
        for index, image in enumerate(IMAGES):
            lines.append(f"{name} {image}: 5, 25, 50, 75, 95 % of voxels {np.round(percentiles[:, index], 2).tolist()}")
    return "\n".join(lines)

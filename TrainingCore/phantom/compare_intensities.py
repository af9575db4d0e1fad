"""Compare T1w and FLAIR of simulated and real lesions, relative to normal-appearing white matter, as a figure.

Real patients: skull-stripped, bias-corrected T1w and FLAIR in MNI space with a lesion mask (two of Lesjak et al.,
Neuroinformatics 2018, CC-BY). Their white matter is the template's, so that its border is only as good as the
registration to MNI space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from .. import SIMULATED
from ..runtime.cli import Progress, run_command
from ..runtime.errors import BadInput
from ..runtime.signature import AtLeast, ProgressMode, command

SMALLEST_MM3, LARGE_MM3 = 10.0, 150.0
IMAGES = ("t1w", "flair")
REAL_FILES = {
    "t1w": "*_space-MNI152_desc-brain_T1w.nii.gz",
    "flair": "*_space-MNI152_desc-brain_FLAIR.nii.gz",
    "lesions": "*_label-lesion_mask.nii.gz",
}


@dataclass
class Intensities:
    """T1w and FLAIR in the lesions of one person, relative to the median of NAWM.

    Attributes:
        name: person.
        voxels: (2, n) T1w and FLAIR of every lesional voxel.
        means: (2, lesions) means of every lesion.
        volumes: (lesions,) mm3.
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
        name: whose.
        images: T1w and FLAIR, (I, J, K).
        lesions, white_matter: bool (I, J, K).
        voxel_volume: mm3.

    Raises:
        BadInput: no normal-appearing white matter is left.
    """
    from scipy import ndimage

    nawm = ndimage.binary_erosion(white_matter, iterations=2) & ~ndimage.binary_dilation(lesions, iterations=3)
    if not nawm.any():
        raise BadInput(f"{name} has no white matter away from lesions. Check that the images lie in MNI space.")
    relative = [image / np.median(image[nawm]) for image in images]
    labels, count = ndimage.label(lesions, np.ones((3, 3, 3)))
    numbers = np.arange(1, count + 1)
    volumes = np.bincount(labels.ravel(), minlength=count + 1)[1:] * voxel_volume
    means = np.array([ndimage.mean(image, labels, numbers) for image in relative]).reshape(2, count)
    kept = volumes >= SMALLEST_MM3
    return Intensities(name, np.array([image[lesions] for image in relative]), means[:, kept], volumes[kept])


def real_intensities(folder: Path) -> list[Intensities]:
    """Measure every person of a BIDS-like folder that has T1w, FLAIR and lesion mask in MNI space.

    Args:
        folder: folder with sub-*.

    Returns:
        One entry per person.

    Raises:
        BadInput: no person has the three files.
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
    """Measure simulated patients at their first visit.

    Args:
        count: number of patients.
        site: A, B, C or R.
        seed: seed of the cohort.
        size: voxels along each edge of 192 mm.
        progress: receives one step per patient.

    Returns:
        One entry per patient.
    """
    from ..simulate import draw_people
    from .patient import simulate_with_truth

    people = []
    for label, person in draw_people(site, seed, count, 0):
        case, scene = simulate_with_truth(person, 1, size, IMAGES, label)
        white = (scene.anatomy.white_matter > 0.9) & case.volumes["brain"]
        images = [case.volumes[name] for name in IMAGES]
        people.append(lesion_intensities(label, images, case.volumes["lesions"], white, case.voxel_volume))
        progress.report("simulate", len(people) / count, f"Simulated sub-{label}")
    return people


def _draw(real: Sequence[Intensities], digital: Sequence[Intensities], path: Path) -> None:
    """Draw the distributions of voxels, and the means of each lesion, of both groups as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 4, figsize=(16, 3.9), constrained_layout=True)
    colours = ("#555555", "#0f766e", "#6d28d9")
    everyone = [(person.name, [person], colour) for person, colour in zip(real, colours)]
    everyone.append((f"simulated (n = {len(digital)})", list(digital), "#c2410c"))
    for index, (title, limits) in enumerate((("T1w", (0.2, 1.4)), ("FLAIR", (0.4, 2.6)))):
        for name, group, colour in everyone:
            values = np.concatenate([person.voxels[index] for person in group])
            share = np.full(len(values), 1.0 / max(len(values), 1))
            bins = np.linspace(*limits, 49)
            axes[index].hist(np.clip(values, *limits), bins, weights=share, histtype="step", color=colour, label=name)
        axes[index].set(title=f"Lesion voxels in {title}", xlabel="relative to NAWM", ylabel="share of voxels")
        axes[index].legend(frameon=False, fontsize=8)
    for axis, (title, low, high) in zip(
        axes[2:],
        (
            (f"Lesions of {SMALLEST_MM3:g}-{LARGE_MM3:g} mm3", SMALLEST_MM3, LARGE_MM3),
            ("Larger lesions", LARGE_MM3, np.inf),
        ),
    ):
        for name, group, colour in reversed(everyone):
            points = np.concatenate([p.means[:, (p.volumes >= low) & (p.volumes < high)] for p in group], axis=1)
            axis.scatter(*points, s=9, color=colour, alpha=0.6, label=f"{name}: {points.shape[1]}")
        axis.axvline(1.0, color="#bbbbbb", linewidth=0.8)
        axis.axhline(1.0, color="#bbbbbb", linewidth=0.8)
        axis.set(title=title, xlabel="T1w relative to NAWM", ylabel="FLAIR relative to NAWM")
        axis.set(xlim=(0.2, 1.4), ylim=(0.4, 2.6))
        axis.legend(frameon=False, fontsize=8)
    figure.suptitle(f"{SIMULATED} beside real lesions (Lesjak et al. 2018, CC-BY)")
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def compare_intensities(
    patients_folder: Path,
    out: Path,
    *,
    patients: Annotated[int, AtLeast(1)] = 12,
    site: str = "A",
    seed: int = 1,
    size: int = 128,
    progress: ProgressMode = "bar",
) -> str:
    """Measure the intensities of real and simulated lesions and draw phantom_intensities.png.

    Args:
        patients_folder: folder of real people in MNI space.
        out: folder for the figure.
        patients: simulated patients.
        site: site of the simulated patients.
        seed: seed of the simulated patients.
        size: voxels along each edge.
        progress: how to show progress; bar is on stderr, json on stdout.

    Returns:
        Percentiles of the lesions' voxels, a line for each person and contrast.

    Raises:
        BadInput: the folder holds nobody, or an option is invalid.

    Example:
        python -m TrainingCore.phantom.compare_intensities --patients-folder ms_mni --out comparison
    """
    from ..runtime.files import atomic_path

    with Progress(progress, "Comparing intensities") as bar:
        real = real_intensities(patients_folder)
        digital = digital_intensities(patients, site, seed, size, bar)
    with atomic_path(out / "phantom_intensities.png") as temporary:
        _draw(real, digital, temporary)
    lines = []
    for name, samples in (*((sample.name, [sample]) for sample in real), ("simulated", digital)):
        voxels = np.concatenate([sample.voxels for sample in samples], axis=1)
        middle = np.percentile(voxels, [5, 25, 50, 75, 95], axis=1)
        for index, image in enumerate(IMAGES):
            lines.append(f"{name} {image}: 5, 25, 50, 75, 95 % of voxels {np.round(middle[:, index], 2).tolist()}")
    return "\n".join(lines)


main = command(compare_intensities, done=str)

if __name__ == "__main__":
    raise SystemExit(run_command(main))

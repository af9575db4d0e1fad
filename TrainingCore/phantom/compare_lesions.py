"""Compare simulated and real lesions: number, volumes and location by masks, T1w and FLAIR contrast by MRI.

The real masks are the consensus masks of 29 patients in MNI space (Lesjak et al., Neuroinformatics 2018, CC-BY); MRI in
MNI space exist of two of them (see lesion_intensities.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from ..imaging.labelling import label_lesions
from ..runtime.cli import Progress, run_command
from ..runtime.errors import BadInput
from ..runtime.files import atomic_path, write_text
from ..runtime.signature import AtLeast, ProgressMode, command
from .lesion_intensities import SMALLEST_MM3, digital_intensities, percentile_lines, real_intensities

BANDS_MM = ((0.0, 3.0), (3.0, 8.0), (8.0, 15.0), (15.0, 100.0))


@dataclass
class LesionFacts:
    """One mask in numbers.

    Attributes:
        volumes: volume of every lesion in mm3, (lesions,).
        nearest: smallest distance of every lesion to the ventricles in mm, (lesions,).
        voxel_distances: distance of every voxel of these lesions in mm, (voxels,).
    """

    volumes: np.ndarray
    nearest: np.ndarray
    voxel_distances: np.ndarray

    @property
    def load(self) -> float:
        """Total volume in ml."""
        return float(self.volumes.sum()) / 1000.0


def lesion_facts(mask: np.ndarray, distance: np.ndarray, voxel_volume: float) -> LesionFacts:
    """Measure the lesions of a mask that have SMALLEST_MM3 or more (26-neighbourhood).

    Args:
        mask: lesion mask, bool (I, J, K).
        distance: distance to the lateral ventricles in mm, (I, J, K).
        voxel_volume: mm3 of one voxel.

    Returns:
        Volumes and distances.
    """
    from scipy import ndimage

    boxes = ndimage.find_objects(mask.astype(np.uint8))
    if boxes:
        mask, distance = mask[boxes[0]], distance[boxes[0]]
    labels, volumes = label_lesions(mask, voxel_volume, SMALLEST_MM3)
    numbers = np.arange(1, len(volumes) + 1)
    nearest = np.asarray(ndimage.minimum(distance, labels, numbers)) if len(volumes) else np.zeros(0)
    return LesionFacts(volumes, nearest, distance[labels > 0])


def real_facts(folder: Path, limit: int | None = None) -> list[LesionFacts]:
    """Measure the real masks of a folder.

    Args:
        folder: folder of *label-lesion_mask.nii.gz in MNI space.
        limit: number of masks to read, in the order of their names; None: all.

    Returns:
        One entry per mask.

    Raises:
        BadInput: there is no such mask, or none holds a lesion.
    """
    import nibabel
    from scipy import ndimage

    from .template import load_template

    paths = sorted(Path(folder).glob("*label-lesion_mask.nii.gz"))[:limit]
    if not paths:
        raise BadInput(f"{folder} holds no *label-lesion_mask.nii.gz. Give the folder of the real masks with --masks.")
    template = load_template()
    to_ventricles = ndimage.distance_transform_edt(template.ventricles < 0.5).astype(np.float32)
    facts, grids = [], {}
    for path in paths:
        image = nibabel.nifti1.load(path)
        mask = np.asarray(image.dataobj) > 0
        grid = (mask.shape, image.affine.tobytes())
        if grid not in grids:
            matrix = np.linalg.inv(template.affine) @ image.affine
            grids[grid] = ndimage.affine_transform(
                to_ventricles, matrix, output_shape=mask.shape, order=1, mode="nearest"
            )
        facts.append(lesion_facts(mask, grids[grid], float(abs(np.linalg.det(image.affine[:3, :3])))))
    if not any(len(mask.volumes) for mask in facts):
        raise BadInput(f"No mask in {folder} holds a lesion of {SMALLEST_MM3:g} mm3. Check that they are lesion masks.")
    return facts


def digital_facts(count: int, site: str, seed: int, size: int, progress: Progress) -> list[LesionFacts]:
    """Grow the lesions of simulated patients at their first visit and measure them.

    Args:
        count: number of patients.
        site: A, B, C or R.
        seed: seed of the patients.
        size: voxels along each edge of 192 mm.
        progress: shows the finished share.

    Returns:
        One entry per patient.
    """
    from .patient import anatomy_and_lesions
    from .people import draw_people

    facts = []
    for label, person in draw_people(site, seed, count, 0):
        anatomy, lesions = anatomy_and_lesions(person, 1, size)
        facts.append(lesion_facts(lesions.mask, anatomy.ventricle_distance, anatomy.voxel**3))
        progress.report("simulate", len(facts) / count, f"Grew the lesions of sub-{label}")
    return facts


def table(real: Sequence[LesionFacts], digital: Sequence[LesionFacts]) -> list[tuple[str, str, str]]:
    """Make the table of medians and quartiles over people, and of pooled shares.

    Args:
        real: real masks.
        digital: simulated patients.

    Returns:
        Rows (measure, real, digital) of text.
    """
    rows = [("people", str(len(real)), str(len(digital)))]
    for name, measure in (
        ("lesion load (ml)", lambda f: f.load),
        ("lesions >= 10 mm3", lambda f: len(f.volumes)),
        ("lesions >= 50 mm3", lambda f: int((f.volumes >= 50).sum())),
        ("largest lesion / load", lambda f: f.volumes.max() / f.volumes.sum() if len(f.volumes) else 0),
    ):
        spreads = [_spread([measure(f) for f in group]) for group in (real, digital)]
        rows.append((f"{name}: median [quartiles; range]", spreads[0], spreads[1]))
    pooled = [np.concatenate([f.volumes for f in group]) for group in (real, digital)]
    for percent in (25, 50, 75, 90, 95, 99):
        volumes = [f"{np.percentile(each, percent):.0f}" for each in pooled]
        rows.append((f"lesion volume, {percent}th percentile (mm3)", volumes[0], volumes[1]))
    for low, high in BANDS_MM:
        name = f"{low:g}-{high:g} mm" if high < 100 else f"beyond {low:g} mm"
        shares = [_share(np.concatenate([f.nearest for f in group]), low, high) for group in (real, digital)]
        rows.append((f"lesions whose edge is {name} from the ventricles", shares[0], shares[1]))
        shares = [_share(np.concatenate([f.voxel_distances for f in group]), low, high) for group in (real, digital)]
        rows.append((f"lesion volume {name} from the ventricles", shares[0], shares[1]))
    return rows


def _spread(values: Sequence[float]) -> str:
    low, median, high = np.percentile(values, [25, 50, 75])
    return f"{median:.3g} [{low:.3g}-{high:.3g}; {min(values):.2g}-{max(values):.3g}]"


def _share(values: np.ndarray, low: float, high: float) -> str:
    return f"{100.0 * float(((values >= low) & (values < high)).mean()):.0f} %"


def compare_lesions(
    out: Path,
    *,
    masks: Path | None = None,
    mri: Path | None = None,
    patients: Annotated[int, AtLeast(1)] = 60,
    site: str = "A",
    seed: int = 1,
    size: int = 128,
    progress: ProgressMode = "bar",
) -> str:
    """Compare simulated with real lesions.

    With --masks it writes phantom_lesions.png, .csv and .md; with --mri it draws phantom_intensities.png.

    Args:
        out: folder for figures and tables.
        masks: folder of *label-lesion_mask.nii.gz in MNI space, to compare number, volumes and location.
        mri: folder of real people with T1w, FLAIR and lesion mask in MNI space, to compare intensities.
        patients: simulated patients.
        site: site of the simulated patients.
        seed: seed of the simulated patients.
        size: voxels along each edge.
        progress: how to show progress; bar is on stderr, json on stdout.

    Returns:
        The table as Markdown, and percentiles of the lesions' voxels, one line for each person and contrast.

    Raises:
        BadInput: neither folder is given, a folder holds no real lesions, or an option is invalid.

    Example:
        python -m TrainingCore.phantom.compare_lesions --masks ms_lesion_masks_mni --mri ms_mni --out comparison
    """
    from .lesion_figures import draw_comparison, draw_intensities

    if masks is None and mri is None:
        raise BadInput("There is nothing to compare with. Give --masks, --mri or both.")
    texts = []
    with Progress(progress, "Comparing lesions") as bar:
        if masks is not None:
            real, digital = real_facts(masks), digital_facts(patients, site, seed, size, bar)
            with atomic_path(out / "phantom_lesions.png") as temporary:
                draw_comparison(real, digital, temporary)
            texts.append(_write_table([("measure", "real", "simulated"), *table(real, digital)], out))
        if mri is not None:
            people, simulated = real_intensities(mri), digital_intensities(patients, site, seed, size, bar)
            with atomic_path(out / "phantom_intensities.png") as temporary:
                draw_intensities(people, simulated, temporary)
            texts.append(percentile_lines(people, simulated))
    return "\n\n".join(texts)


def _write_table(rows: Sequence[tuple[str, str, str]], out: Path) -> str:
    write_text(out / "phantom_lesions.csv", "".join(",".join(f'"{cell}"' for cell in row) + "\n" for row in rows))
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|---|---|---|")
    text = "\n".join(lines)
    write_text(out / "phantom_lesions.md", text + "\n")
    return text


main = command(compare_lesions, done=str)

if __name__ == "__main__":
    raise SystemExit(run_command(main))

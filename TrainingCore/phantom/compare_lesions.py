"""Compare simulated and real lesions: number, volumes and location, as a figure and a table.

The real masks are the consensus masks of 29 patients in MNI space (Lesjak et al., Neuroinformatics 2018, CC-BY).
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

SMALLEST_MM3 = 10.0  # a simulated voxel has 3.4 mm3: smaller components have no shape on that grid
BANDS_MM = ((0.0, 3.0), (3.0, 8.0), (8.0, 15.0), (15.0, 100.0))


@dataclass
class LesionFacts:
    """Measurements of one mask; components below 10 mm3 are left out.

    Attributes:
        volumes: (lesions,) mm3.
        nearest: (lesions,) smallest distance to the ventricles in mm.
        voxel_distances: (n,) distance of every lesional voxel in mm.
    """

    volumes: np.ndarray
    nearest: np.ndarray
    voxel_distances: np.ndarray

    @property
    def load(self) -> float:
        """Total volume in ml."""
        return float(self.volumes.sum()) / 1000.0


def lesion_facts(mask: np.ndarray, distance: np.ndarray, voxel_volume: float) -> LesionFacts:
    """Measure the components (26-neighbourhood) of a lesion mask.

    Args:
        mask: (I, J, K).
        distance: mm to the lateral ventricles on the same grid.
        voxel_volume: mm3.

    Returns:
        Measurements of the components of 10 mm3 or more.
    """
    from scipy import ndimage

    boxes = ndimage.find_objects(mask.astype(np.uint8))
    if boxes:
        mask, distance = mask[boxes[0]], distance[boxes[0]]
    labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
    numbers = np.arange(1, count + 1)
    volumes = np.bincount(labels.ravel(), minlength=count + 1)[1:] * voxel_volume
    nearest = np.asarray(ndimage.minimum(distance, labels, numbers)) if count else np.zeros(0)
    kept = volumes >= SMALLEST_MM3
    return LesionFacts(volumes[kept], nearest[kept], distance[np.isin(labels, numbers[kept])])


def real_facts(folder: Path, limit: int | None = None) -> list[LesionFacts]:
    """Measure the real masks in a folder.

    Args:
        folder: folder with *label-lesion_mask.nii.gz in MNI space.
        limit: number of masks, None for all.

    Returns:
        One entry per mask.

    Raises:
        BadInput: there is no mask.
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
    return facts


def digital_facts(count: int, site: str, seed: int, size: int, progress: Progress) -> list[LesionFacts]:
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
    from .patient import anatomy_and_lesions

    facts = []
    for label, person in draw_people(site, seed, count, 0):
        anatomy, lesions = anatomy_and_lesions(person, 1, size)
        facts.append(lesion_facts(lesions.mask, anatomy.ventricle_distance, anatomy.voxel**3))
        progress.report("simulate", len(facts) / count, f"Grew the lesions of sub-{label}")
    return facts


def table(real: Sequence[LesionFacts], digital: Sequence[LesionFacts]) -> list[tuple[str, str, str]]:
    """Compare both groups in a table.

    Args:
        real: real masks.
        digital: simulated patients.

    Returns:
        Rows (measure, real, simulated): medians and quartiles over people, and pooled shares.
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


def _draw(real: Sequence[LesionFacts], digital: Sequence[LesionFacts], path: Path) -> None:
    """Draw load, number against load, volumes and distance to the ventricles of both groups as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 4, figsize=(16, 3.9), constrained_layout=True)
    styles = (("real", real, "#555555", "o"), ("simulated", digital, "#c2410c", "x"))
    for name, group, colour, marker in styles:
        loads = np.sort([f.load for f in group])
        axes[0].step(loads, np.arange(1, len(loads) + 1) / len(loads), color=colour, label=f"{name} (n = {len(group)})")
        axes[1].scatter(
            [f.load for f in group], [len(f.volumes) for f in group], s=18, color=colour, marker=marker, label=name
        )
        volumes = np.concatenate([f.volumes for f in group])
        axes[2].hist(
            volumes,
            np.geomspace(10, 60000, 28),
            density=False,
            weights=np.full(len(volumes), 1 / len(volumes)),
            histtype="step",
            color=colour,
            label=name,
        )
        distances = np.concatenate([f.voxel_distances for f in group])
        axes[3].hist(
            distances,
            np.arange(0, 52, 2),
            weights=np.full(len(distances), 1 / len(distances)),
            histtype="step",
            color=colour,
            label=name,
        )
    for axis, (title, label) in zip(
        axes,
        (
            ("Lesion load", "ml"),
            ("Number of lesions", "load, ml"),
            ("Volume of a lesion", "mm3"),
            ("Lesional volume by location", "mm to the ventricles"),
        ),
    ):
        axis.set_title(title)
        axis.set_xlabel(label)
        axis.legend(frameon=False, fontsize=8)
    axes[0].set_xscale("log")
    axes[0].set_ylabel("share of people")
    axes[1].set(xscale="log", yscale="log", ylabel="lesions of 10 mm3 or more")
    axes[2].set(xscale="log", yscale="log", ylabel="share of lesions")
    axes[3].set_ylabel("share of lesional volume")
    figure.suptitle(
        f"{SIMULATED} beside 29 real consensus masks (Lesjak et al. 2018, CC-BY)"
        if len(real) == 29
        else f"{SIMULATED} beside real masks"
    )
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def compare_lesions(
    masks: Path,
    out: Path,
    *,
    patients: Annotated[int, AtLeast(1)] = 60,
    site: str = "A",
    seed: int = 1,
    size: int = 128,
    progress: ProgressMode = "bar",
) -> str:
    """Measure real and simulated lesions; write phantom_lesions.png, .csv and .md.

    Args:
        masks: folder of *label-lesion_mask.nii.gz in MNI space.
        out: folder for the figure and the table.
        patients: simulated patients.
        site: site of the simulated patients.
        seed: seed of the simulated patients.
        size: voxels along each edge.
        progress: how to show progress; bar is on stderr, json on stdout.

    Returns:
        The table as Markdown.

    Raises:
        BadInput: the folder holds no masks, or an option is invalid.

    Example:
        python -m TrainingCore.phantom.compare_lesions --masks ms_lesion_masks_mni --out comparison
    """
    from ..runtime.files import atomic_path, write_text

    with Progress(progress, "Comparing lesions") as bar:
        real = real_facts(masks)
        digital = digital_facts(patients, site, seed, size, bar)
    rows = [("measure", "real", "digital (simulated)"), *table(real, digital)]
    with atomic_path(out / "phantom_lesions.png") as temporary:
        _draw(real, digital, temporary)
    write_text(out / "phantom_lesions.csv", "".join(",".join(f'"{cell}"' for cell in row) + "\n" for row in rows))
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|---|---|---|")
    text = "\n".join(lines)
    write_text(out / "phantom_lesions.md", text + "\n")
    return text


main = command(compare_lesions, done=str)

if __name__ == "__main__":
    raise SystemExit(run_command(main))

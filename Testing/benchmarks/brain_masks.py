"""The brain found on raw T1w and on raw FLAIR of the same visit: their Dice where the publishers registered them.

python -m Testing.benchmarks.brain_masks --out out/brain_masks      # also writes one picture per visit
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from Testing.real_data import DATA
from TrainingCore.imaging.brain_mask import find_brain
from TrainingCore.imaging.volumes import Volume, matrix_of_sitk, read_volume, resample


def visits(data: Path) -> list[tuple[str, Path, Path, Path]]:
    """Label, T1w, FLAIR and the publishers' transform (FLAIR world -> T1w world) of every raw clinical visit."""
    found = []
    for path in sorted((data / "ms_clinical/derivatives/reference_transforms").rglob("*from-T1w_to-FLAIR*.txt")):
        label = path.name.split("_from-")[0]
        folder = data / "ms_clinical" / label.replace("_", "/") / "anat"
        found.append((label, folder / f"{label}_T1w.nii.gz", folder / f"{label}_FLAIR.nii.gz", path))
    return found


def reference(path: Path) -> np.ndarray:
    """4x4 RAS mm: a point of T1w space -> the point of the FLAIR that shows it."""
    import SimpleITK as sitk

    return np.linalg.inv(matrix_of_sitk(sitk.ReadTransform(str(path))))


def compare(t1w: Volume, flair: Volume, matrix: np.ndarray) -> tuple[dict[str, float], np.ndarray, np.ndarray]:
    """Dice and volumes of both masks on the T1w's grid, within what the FLAIR covers; then the masks."""
    began = time.process_time()
    first = find_brain(t1w)
    seconds = time.process_time() - began
    second = find_brain(flair)
    moved = resample(second.mask, t1w.data.shape, t1w.affine, matrix) >= 0.5
    covered = resample(flair.with_data(np.ones_like(flair.data)), t1w.data.shape, t1w.affine, matrix) > 0.5
    one = (first.mask.data > 0.5) & covered
    both = np.count_nonzero(one & moved)
    numbers = {
        "dice": 2 * both / (np.count_nonzero(one) + np.count_nonzero(moved)),
        "t1w_ml": first.millilitres,
        "flair_ml": second.millilitres,
        "cpu_s": seconds,
    }
    return numbers, first.mask.data > 0.5, moved


def picture(path: Path, t1w: Volume, flair: np.ndarray, masks: tuple[np.ndarray, np.ndarray]) -> None:
    """Five axial slices of T1w (above) and FLAIR (below) with both outlines: T1w's mask red, FLAIR's yellow."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    slices = np.linspace(4, t1w.data.shape[2] - 5, 6).astype(int)
    figure, axes = plt.subplots(2, len(slices), figsize=(3 * len(slices), 6.4))
    for row, image in zip(axes, (t1w.data, flair)):
        for place, k in zip(row, slices):
            place.imshow(image[:, :, k].T, cmap="gray", vmin=0, vmax=np.percentile(image, 99.5))
            for mask, colour in zip(masks, ("red", "yellow")):
                place.contour(mask[:, :, k].T, [0.5], colors=colour, linewidths=0.7)
            place.axis("off")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=60)
    plt.close(figure)


def main() -> int:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--out", type=Path, default=Path("out/brain_masks"))
    given = options.parse_args()
    print("| visit | Dice | T1w ml | FLAIR ml | CPU s (T1w) |\n|---|---|---|---|---|")
    for label, t1w_path, flair_path, transform in visits(DATA):
        t1w, flair, matrix = read_volume(t1w_path), read_volume(flair_path, "FLAIR"), reference(transform)
        numbers, one, other = compare(t1w, flair, matrix)
        print(f"| {label} | {numbers['dice']:.3f} | {numbers['t1w_ml']:.0f} | {numbers['flair_ml']:.0f} | "
              f"{numbers['cpu_s']:.1f} |", flush=True)  # fmt: skip
        here = resample(flair, t1w.data.shape, t1w.affine, matrix)
        picture(given.out / f"{label}.png", t1w, here, (one, other))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

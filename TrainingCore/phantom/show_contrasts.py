"""Draw every contrast of simulated people with each disease in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .. import RESEARCH_USE, SIMULATED
from ..data.case import ALL_MRI, Case, title_of
from ..runtime.cli import Progress, add_progress_option, parser, run_command

EXAMPLE = "python -m TrainingCore.phantom.show_contrasts --out phantom_contrasts.png"
# Disease, site and seed; seeds chosen for a load that a slice shows
PEOPLE = (("ms", "A", 11), ("wmh", "C", 21), ("glioma", "A", 2), ("glioma", "A", 3))
COLUMNS = (*ALL_MRI, "dvr", "truth")
HEADS = {"t1ce": "T1w, full dose", "truth": "lesion or tumour"}
WINDOWS = {
    "mtr": (0.0, 50.0),
    "fa": (0.0, 0.8),
    "rd": (0.0, 2.5),
    "ad": (0.0, 2.5),
    "adc": (0.0, 2.5),
    "dvr": (0.5, 1.4),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate the people of the picture with all contrasts and draw it.

    Args:
        argv: command-line arguments (default: those of the process).

    Returns:
        0.
    """
    arguments = parser("phantom.show_contrasts", __doc__ or "", EXAMPLE)
    arguments.add_argument("--out", type=Path, required=True, metavar="PNG", help="picture to write")
    arguments.add_argument("--size", type=int, default=128, help="voxels along each edge of 192 mm (default: 128)")
    add_progress_option(arguments)
    options = arguments.parse_args(argv)
    from .patient import check_phantom_size, simulate_visit

    check_phantom_size(options.size)
    cases = []
    with Progress(options.progress, "Contrasts") as progress:
        for done, (disease, site, seed) in enumerate(PEOPLE):
            progress.report("simulate", done / len(PEOPLE), f"Simulating {disease}")
            contrasts = ALL_MRI if disease == "glioma" else (*ALL_MRI, "dvr")
            cases.append(simulate_visit(seed, 1, site, options.size, disease=disease, contrasts=contrasts))
    _draw(cases, options.out)
    return 0


def _draw(cases: Sequence[Case], out: Path) -> None:
    """Draw one row per person and one column per contrast, at the axial slice with most lesion."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    from ..runtime.files import atomic_path

    figure = Figure(figsize=(1.15 * len(COLUMNS), 1.5 * len(cases) + 0.4), facecolor="black", dpi=110)
    for row, case in enumerate(cases):
        for column, name in enumerate(COLUMNS):
            axes = figure.add_subplot(len(cases), len(COLUMNS), row * len(COLUMNS) + column + 1)
            axes.set_axis_off()
            if row == 0:
                axes.set_title(HEADS.get(name, title_of(name)), color="white", fontsize=7)
            if column == 0:
                axes.text(
                    -0.08,
                    0.5,
                    _row_title(case),
                    color="white",
                    fontsize=6,
                    rotation=90,
                    va="center",
                    ha="center",
                    transform=axes.transAxes,
                )
            if name in case.volumes or name == "truth":
                image, low, high = _section(case, name)
                axes.imshow(image, cmap="gray", vmin=low, vmax=high)
    figure.text(0.5, 0.012, f"{SIMULATED}. {RESEARCH_USE}", color="white", fontsize=8, ha="center")
    figure.subplots_adjust(0.025, 0.05, 0.998, 0.95, 0.03, 0.03)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    grey = np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., 0])  # nothing in it has a colour
    with atomic_path(out) as temporary:
        Image.fromarray(grey).save(temporary, format="PNG", optimize=True)


def _row_title(case: Case) -> str:
    """Return the title of a row, e.g. `glioblastoma, grade 4, 52 y`."""
    if "subtype" in case.info:
        return f"{case.info['subtype']},\ngrade {case.info['grade']}, {case.info['age']} y"
    name = {"ms": "multiple sclerosis", "wmh": "small-vessel disease"}[case.info["disease"]]
    return f"{name},\n{case.info['age']} y"


def _section(case: Case, name: str) -> tuple[np.ndarray, float, float]:
    """Return an axial slice seen from below (left is right), cut to the brain, and the ends of its window."""
    brain = case.volumes["brain"]
    level = int(case.volumes["lesions"].sum(axis=(0, 1)).argmax())
    voxels = np.argwhere(brain.any(axis=2))
    (left, back), (right, front) = voxels.min(axis=0), voxels.max(axis=0) + 1
    volume = case.volumes.get("tumour", case.volumes["lesions"]) if name == "truth" else case.volumes[name]
    image = volume[left:right, back:front, level].astype(float)[::-1, ::-1].T
    if name == "truth":
        return image, 0.0, max(float(volume.max()), 1.0)
    scale = case.volumes["t1ce"] if name in ("t1ce", "t1ce_low") else volume
    low, high = WINDOWS.get(name, (0.0, float(np.quantile(scale[brain], 0.997))))
    return image, low, high


if __name__ == "__main__":
    raise SystemExit(run_command(main))

"""Small atlas for the regions of lesions: `python -m TrainingCore.phantom.make_atlas` writes it again.

T1 and regions of the ICBM152 2009a template (Fonov et al. 2011) at 4 mm, small enough to be part of the package, so
that the region of a lesion needs neither nilearn nor the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..runtime.cli import parser, run_command

SPACING_MM = 4.0
SUPRATENTORIAL, INFRATENTORIAL, VENTRICLE = 1, 2, 3


def main(argv: Sequence[str] | None = None) -> int:
    """Write t1w.nii.gz and regions.nii.gz.

    Args:
        argv: command-line arguments (default: those of the process).

    Returns:
        0.
    """
    from ..imaging.regions import ATLAS

    example = "python -m TrainingCore.phantom.make_atlas --out atlas"
    arguments = parser("phantom.make_atlas", "Write the atlas that lesions are placed with.", example)
    arguments.add_argument(
        "--out", type=Path, default=ATLAS, metavar="DIR", help=f"default: {ATLAS.name} beside the code"
    )
    out = arguments.parse_args(argv).out

    import nibabel

    from ..imaging.volumes import Volume, resample, write_volume
    from .template import load_template, template_folder

    template = load_template()
    image = nibabel.nifti1.load(template_folder() / "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz")
    t1w = Volume(np.asarray(image.dataobj, np.float32), np.asarray(image.affine, float))
    step = int(SPACING_MM)
    affine = template.affine @ np.diag([step, step, step, 1.0])
    affine[:3, 3] += (SPACING_MM - 1) / 2  # the middle of the first block of voxels
    shape = tuple(size // step for size in template.brain.shape)

    def blocks(data: np.ndarray) -> np.ndarray:
        cut = data[tuple(slice(0, size * step) for size in shape)]
        return cut.reshape(shape[0], step, shape[1], step, shape[2], step).mean(axis=(1, 3, 5))

    below = _below_tentorium(template.affine, template.brain.shape)
    regions = np.where(blocks(below) > 0.5, INFRATENTORIAL, SUPRATENTORIAL) * (blocks(template.brain) > 0.5)
    regions[blocks(template.ventricles) > 0.4] = VENTRICLE
    same = Volume(resample(t1w, template.brain.shape, template.affine) * template.brain, template.affine)
    write_volume(out / "t1w.nii.gz", np.round(blocks(same.data)).astype(np.uint8), affine, "ICBM152 2009a T1, 4 mm")
    write_volume(
        out / "regions.nii.gz", regions.astype(np.uint8), affine, "1 supratentorial 2 infratentorial 3 ventricle"
    )
    return 0


def _below_tentorium(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a mask (I, J, K) of everything below the tentorium in MNI space; read off the template's slices (ours).

    It is a tent over the cerebellum, and the brainstem below the upper edge of the midbrain.
    """
    voxels = np.indices(shape, np.float32)
    x, y, z = (sum(affine[row, axis] * voxels[axis] for axis in range(3)) + affine[row, 3] for row in range(3))
    side = np.abs(x)
    ridge = np.where(y > -44, -3 - 0.55 * (y + 44), -3 + 0.45 * (y + 44))
    front = -30 - 0.3 * np.clip(side - 25, 0, None)
    cerebellum = (z < ridge - 0.42 * np.clip(side - 4, 0, None)) & (y < front)
    width = 20 - 0.3 * np.clip(y + 30, 0, 20)
    brainstem = (z < -8 - 0.15 * (y + 30)) & (y >= -44) & (y < -8) & (side < width)
    return cerebellum | brainstem


if __name__ == "__main__":
    raise SystemExit(run_command(main))

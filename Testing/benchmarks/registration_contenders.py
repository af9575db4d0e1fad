"""Registrations of one contender in a process of its own: a JSON line for each pair and start on stdout.

Called by `registration.py`, which writes the list of cases. Images are read and handed over in memory; only the
registration itself is timed. Every contender gets one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from TrainingCore.imaging.volumes import LPS_FROM_RAS, Volume, matrix_of_sitk, read_volume, to_sitk

Register = Callable[[Volume, Volume, Volume], np.ndarray]


def ours() -> Register:
    """TrainingCore.imaging.registration as it ships, its bias correction of both images included."""
    import torch  # noqa: F401, so that its start-up is not counted as registration

    from TrainingCore.imaging.registration import register

    return lambda fixed, moving, brain: register(fixed, moving, brain).matrix


def antspyx() -> Register:
    """antspyx: `ants.registration(type_of_transform="Rigid")` with its defaults (Mattes, 20 % regular sampling)."""
    import ants

    from TrainingCore.imaging.transforms import read_transform

    def image(volume: Volume) -> Any:
        lps = LPS_FROM_RAS @ volume.affine
        direction = lps[:3, :3] / volume.spacing
        return ants.from_numpy(volume.data, lps[:3, 3].tolist(), volume.spacing.tolist(), direction)

    def register(fixed: Volume, moving: Volume, brain: Volume) -> np.ndarray:
        done = ants.registration(image(fixed), image(moving), type_of_transform="Rigid", random_seed=1)
        return read_transform(done["fwdtransforms"][0])

    return register


def simpleitk() -> Register:
    """SimpleITK: Mattes, 32 bins, 10 % random samples, three levels, regular step gradient descent from moments."""
    import SimpleITK as sitk

    def register(fixed: Volume, moving: Volume, brain: Volume) -> np.ndarray:
        target, source = to_sitk(fixed), to_sitk(moving)
        start = sitk.CenteredTransformInitializer(
            target, source, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.MOMENTS
        )
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMattesMutualInformation(32)
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(0.1, 1)
        method.SetInterpolator(sitk.sitkLinear)
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-4, 200)
        method.SetShrinkFactorsPerLevel([4, 2, 1])
        method.SetSmoothingSigmasPerLevel([2, 1, 0])
        method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
        method.SetInitialTransform(start, inPlace=False)
        return matrix_of_sitk(method.Execute(target, source))

    return register


def elastix() -> Register:
    """itk-elastix: the default parameter map `rigid`, aligned by geometrical centre at first."""
    import itk
    import SimpleITK as sitk

    def image(volume: Volume) -> Any:
        lps = LPS_FROM_RAS @ volume.affine
        made = itk.image_from_array(np.ascontiguousarray(volume.data.T))
        made.SetSpacing(volume.spacing.tolist())
        made.SetOrigin(lps[:3, 3].tolist())
        made.SetDirection(itk.matrix_from_array(np.ascontiguousarray(lps[:3, :3] / volume.spacing)))
        return made

    def register(fixed: Volume, moving: Volume, brain: Volume) -> np.ndarray:
        parameters = itk.ParameterObject.New()
        rigid = parameters.GetDefaultParameterMap("rigid")
        rigid["RandomSeed"] = ["1"]
        parameters.AddParameterMap(rigid)
        _, found = itk.elastix_registration_method(
            image(fixed), image(moving), parameter_object=parameters, number_of_threads=1
        )
        said = found.GetParameterMap(0)
        numbers = [float(text) for text in said["TransformParameters"]]
        centre = [float(text) for text in said["CenterOfRotationPoint"]]
        return matrix_of_sitk(sitk.Euler3DTransform(centre, *numbers[:3], numbers[3:]))

    return register


def greedy() -> Register:
    """picsl-greedy: 6 degrees of freedom, normalised mutual information, 200 trials around the images' centres."""
    from picsl_greedy import Greedy3D

    def register(fixed: Volume, moving: Volume, brain: Volume) -> np.ndarray:
        work = Greedy3D()
        work.execute(
            "-i fixed moving -a -dof 6 -m NMI -n 100x50x10 -ia-image-centers -search 200 20 20 -o found -threads 1",
            fixed=to_sitk(fixed),
            moving=to_sitk(moving),
            found=None,
        )
        return np.asarray(work["found"], float)

    return register


CONTENDERS: dict[str, Callable[[], Register]] = {
    "ours": ours,
    "antspyx": antspyx,
    "simpleitk": simpleitk,
    "itk-elastix": elastix,
    "picsl-greedy": greedy,
}


def moved(image: Volume, start: np.ndarray) -> Volume:
    """The same voxels elsewhere in the world: what a start `start` (4x4, RAS mm) off looks like."""
    return Volume(image.data, start @ image.affine, image.name)


def peak_gigabytes() -> float:
    """Peak memory of this process. On Linux getrusage also counts what the parent held when it started the child."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


def main() -> int:
    """Register every case of a list and print matrices, seconds, and at last the process's peak memory."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("name", choices=CONTENDERS)
    arguments.add_argument("cases", type=Path)
    chosen = arguments.parse_args()
    for name in ("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = "1"  # read when ITK and torch are imported, below
    began = time.process_time()
    register = CONTENDERS[chosen.name]()
    prepared = time.process_time() - began
    held: dict[str, Volume] = {}
    for case in json.loads(chosen.cases.read_text(encoding="utf-8")):
        paths = [case["fixed"], case["moving"], case["brain"]]
        if list(held) != paths:
            held = {path: read_volume(path, mask=path == paths[2]) for path in paths}
        fixed, moving, brain = (held[path] for path in paths)
        wall, cpu = time.perf_counter(), time.process_time()
        matrix = register(fixed, moved(moving, np.array(case["start"])), brain)
        row = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall, "matrix": matrix.tolist()}
        print("ROW " + json.dumps({"pair": case["pair"], "number": case["number"], **row}), flush=True)
    print("END " + json.dumps({"peak_gb": peak_gigabytes(), "import_cpu_s": prepared}), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

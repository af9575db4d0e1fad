"""A small digital head and an untrained bundle: enough to walk through synthesis in seconds."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from TrainingCore.imaging.volumes import write_volume

# left-handed, as real MRI often is
AFFINE = np.array([[-3.0, 0, 0, 88], [0, 3, 0, -100], [0, 0, 3, -70], [0, 0, 0, 1]])


def make_head() -> dict[str, np.ndarray]:
    """Skull-stripped T1w and FLAIR of an egg-shaped brain (1.2 l) with ventricles and three lesions."""
    i, j, k = np.meshgrid(*(np.arange(n) for n in (60, 68, 52)), indexing="ij")
    x, y, z = (i - 30) * 3.0, (j - 34) * 3.0, (k - 26) * 3.0
    radius = np.sqrt((x / 62) ** 2 + (y / 76) ** 2 + (z / 60) ** 2)
    brain, white = radius < 1, radius < 0.78
    ventricles = (np.abs(np.abs(x) - 12) < 6) & (np.abs(y) < 24) & (np.abs(z) < 9)
    lesions = np.zeros(brain.shape, bool)
    for place in ((24, 9, 12), (-27, 18, 9), (21, -27, 6)):
        lesions |= (x - place[0]) ** 2 + (y - place[1]) ** 2 + (z - place[2]) ** 2 < 6.5**2
    rng = np.random.default_rng(3)
    t1w = np.select([lesions, ventricles, white, brain], [420, 150, 700, 500], 0).astype(float)
    flair = np.select([lesions, ventricles, white, brain], [900, 120, 480, 560], 0).astype(float)
    images = {}
    for name, image in (("t1w", t1w), ("flair", flair)):
        image = ndimage.gaussian_filter(image, 0.5) + 12 * rng.standard_normal(image.shape)
        images[name] = np.where(brain, image, 0).astype(np.float32)
    return images | {"lesions": lesions, "brain": brain, "white": white & ~lesions & ~ventricles}


@pytest.fixture(scope="session")
def head() -> dict[str, np.ndarray]:
    """Arrays of the small head: t1w, flair, lesions, brain, white."""
    return make_head()


@pytest.fixture(scope="session")
def patient(tmp_path_factory, head) -> dict[str, Path]:
    """Files of the small head."""
    folder = tmp_path_factory.mktemp("patient")
    files = {name: folder / f"{name}.nii.gz" for name in ("t1w", "flair", "lesions", "brain", "dvr")}
    for name in ("t1w", "flair", "lesions", "brain"):
        write_volume(files[name], head[name], AFFINE)
    dvr = np.select([head["lesions"], head["white"], head["brain"]], [0.9, 1.2, 1.0], 0).astype(np.float32)
    write_volume(files["dvr"], dvr + 0.02 * np.random.default_rng(0).standard_normal(dvr.shape) * head["brain"], AFFINE)
    return files


@pytest.fixture(scope="session")
def bundle(tmp_path_factory) -> Path:
    """An untrained, narrow generator on a coarse grid."""
    from TrainingCore.data.bundle import save_bundle
    from TrainingCore.data.recipe import load_recipe
    from TrainingCore.systems.curricular import Curricular

    recipe = load_recipe("l1_only")
    recipe["generator"] |= {"width": 8}
    system = Curricular(recipe)
    description = {
        "name": "untrained", "system": "curricular", "architecture": system.architecture(),
        "inputs": ["t1w", "flair"], "output": "dvr", "intensity": recipe["data"]["intensity"],
        "grid": {"shape": [32, 32, 32], "spacing_mm": 6.0}, "training_data": "nothing", "simulated_training_data": True,
        "performance": {}, "licence": "none", "intended_use": "Tests. Research use only, not for diagnosis.",
        "intervals": {"level": 0.95, "classes_mm3": [0, 50, 100, 300, 1000], "half_width": [None, 0.3, 0.2, 0.2, 0.1],
                      "measured on": "nobody"},
    }  # fmt: skip
    return save_bundle(tmp_path_factory.mktemp("model") / "bundle", description, system.weights()).path


@pytest.fixture
def command():
    """Runs `synthesize` as a shell would, in this process: arguments -> exit code."""
    from TrainingCore.runtime.cli import run_command
    from TrainingCore.synthesize import main

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    kept = {number: signal.getsignal(number) for number in numbers}

    def run(*arguments: object) -> int:
        return run_command(main, [str(argument) for argument in arguments])

    yield run
    for number, handler in kept.items():
        signal.signal(number, handler)

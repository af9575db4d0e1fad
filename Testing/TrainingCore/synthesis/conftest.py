"""A small digital head and an untrained bundle: enough to walk through synthesis in seconds."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
from small_head import AFFINE, make_head
from untrained import untrained_bundle

from TrainingCore.imaging.volumes import write_volume


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
    return untrained_bundle(tmp_path_factory.mktemp("model") / "bundle")


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

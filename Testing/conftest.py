"""Fixtures for both rooms. Real patients are never copied here: tests that need them skip where they are absent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pytest_configure() -> None:
    """Give each of several test processes one thread (`-n 2`): more threads than cores wait for each other."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        for name in ("OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
            os.environ.setdefault(name, "1")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real patients: $MYELINSYNTH_DATA, or ../shared/data beside the checkout."""
    folder = Path(os.environ.get("MYELINSYNTH_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "ms_mni").is_dir():
        pytest.skip(f"real patients are not here ({folder} has no ms_mni); set MYELINSYNTH_DATA to try them")
    return folder


@pytest.fixture(scope="session")
def ball_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BIDS dataset of three people with two visits each, 32^3 voxels."""
    from ball_cohort import write_ball_cohort

    return write_ball_cohort(tmp_path_factory.mktemp("balls") / "cohort")


@pytest.fixture(params=["cpu", pytest.param("cuda:0", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """Every device that a test must pass on; the GPU's turn is skipped on machines without one."""
    import torch

    name: str = request.param
    if name != "cpu" and not torch.cuda.is_available():
        pytest.skip("no CUDA GPU on this machine; python -m Testing.benchmarks.gpu runs these tests on one")
    return name


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small volumes gain nothing from a second thread, and on a busy machine threads wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)

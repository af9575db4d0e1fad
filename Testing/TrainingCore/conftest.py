"""What every test of the researcher's room begins and ends with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from TrainingCore.runtime.stopping import stop_listening


@pytest.fixture(autouse=True)
def _the_same_random_numbers_every_time() -> None:
    """Torch begins every process with other ones: a test must not pass or fail by them, nor by what ran before it."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _nobody_is_asked_to_stop_afterwards() -> Iterator[None]:
    """A signal meant for one test must not stop the next."""
    yield
    stop_listening(for_good=False)

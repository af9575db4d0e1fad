"""What every test of the researcher's room begins with."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def _the_same_random_numbers_every_time() -> None:
    """Torch begins every process with other ones: a test must not pass or fail by them, nor by what ran before it."""
    torch.manual_seed(0)

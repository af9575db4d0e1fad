from __future__ import annotations

import pytest
import torch

from Testing.benchmarks.contenders import build, error_against_plain, gan_step
from Testing.benchmarks.generator import table

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_generator_as_it_ships_is_within_1e_4_of_plain_float32_in_its_predictions_and_gradients():
    errors = error_against_plain("ours", 32)
    assert errors["error"] < 1e-4
    assert errors["gradient_error"] < 1e-4


def test_a_gan_step_changes_the_generator_and_its_prediction_is_finite():
    network = build("ours")
    before = network.last.weight.detach().clone()
    synthetic = gan_step(network, 32)()
    assert bool(torch.isfinite(synthetic).all())
    assert not torch.equal(before, network.last.weight)


def test_the_table_has_a_line_for_every_row_with_its_error():
    row = {"task": "inference", "contender": "ours", "threads": 2, "wall_s": 1.0, "cpu_s": 2.0, "peak_gb": 0.5}
    text = table([{**row, "wall_ratio": 0.5}], {"ours": {"error": 2e-6}})
    assert "| inference | ours | 2 | 1.00 | 2.00 | 0.50 | 0.50 |  |  | 2.0e-06 |" in text

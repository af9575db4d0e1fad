"""Numbers as text: what rounds to zero claims neither gain nor loss."""

from __future__ import annotations

import pytest

from TrainingCore.runtime.numerals import format_number, format_percent


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (-0.0004, "{:+.3f}", "0.000"),
        (0.0004, "{:+.3f}", "0.000"),
        (-0.0006, "{:+.3f}", "-0.001"),
        (-0.001, "{:.2f}", "0.00"),
        (-0.001, "{:.0%}", "0%"),
        (-10.0, "{:.0f}", "-10"),
        (0, "{}", "0"),
    ],
)
def test_zero_has_no_sign(value: float, form: str, text: str) -> None:
    assert format_number(value, form) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100 %"),
        (0.996, "100 %"),
        (0.1234, "12 %"),
        (0.0034, "0.34 %"),
        (0.001, "0.1 %"),
        (2e-6, "below 0.01 %"),
        (0.0, "0 %"),
    ],
)
def test_percentages_have_no_exponent(share: float, text: str) -> None:
    assert format_percent(share) == text

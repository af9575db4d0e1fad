"""Numbers as text for people."""

from __future__ import annotations

from numbers import Real

MISSING = "not estimable"
VERDICT = {True: "yes", False: "NO", None: "not shown"}


def format_number(value: float | Real, form: str) -> str:
    """Format a number; what rounds to zero has no sign.

    Args:
        value: the number.
        form: format for str.format, such as `{:+.3f}`.

    Returns:
        The number, such as `-0.012` or `0.000` (never `-0.000`, which would claim a loss).
    """
    text = form.format(value)
    return text if any(digit in text for digit in "123456789") else text.lstrip("+-")

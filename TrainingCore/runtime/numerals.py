"""Numbers as text for people."""

from __future__ import annotations

from numbers import Real

MISSING = "not estimable"
VERDICT = {True: "yes", False: "NO", None: "not shown"}
MIN_PERCENT = 0.01  # smaller shares are not told apart in sentences (ours)


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


def format_percent(share: float) -> str:
    """Format a share for a sentence, with two digits and without an exponent.

    Args:
        share: 0 to 1.

    Returns:
        Percentage, such as `100 %`, `12 %`, `0.34 %` or `below 0.01 %`.
    """
    percent = 100 * share
    if 0 < percent < MIN_PERCENT:
        return f"below {MIN_PERCENT:g} %"
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"

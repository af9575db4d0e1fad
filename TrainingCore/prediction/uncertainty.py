"""Uncertainty of a map: spread of the predictions for augmented inputs (test-time augmentation).

After Wang et al. 2019 (Neurocomputing 338:34-45). The augmentations are small enough to leave the true DVR unchanged:
left-right mirroring, and a slightly higher or lower contrast of one MRI (ours). A model can be confidently wrong, so
the spread is a lower bound of the error, not the error. A bundle can hold a calibration (`export --calibration`),
which converts the spread to the expected error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..runtime.errors import BadInput

EXPONENTS = (0.85, 1.15)  # (ours) gamma of the contrast changes; scanners with one protocol differ by about as much
SAME_AS_T1W = ("t1w", "t1ce_low", "t1ce")  # the same sequence before and after contrast agent


def variants(inputs: np.ndarray, inside: np.ndarray, names: Sequence[str] = ()) -> Iterator[tuple[np.ndarray, bool]]:
    """Augmented inputs for test-time augmentation; the first one is not augmented.

    The others are mirrored along the first axis (left to right) or have, channel by channel, a lower or higher
    contrast. Channels of the same sequence (T1w before and after contrast agent) change together, as on another
    scanner, because their difference is the effect of the agent. The gamma curve applies between the 1st and 99th
    percentile of the (first) channel in the brain and continues linearly beyond.

    Args:
        inputs: float32 (C, I, J, K), scaled by the intensity rule of the model.
        inside: brain mask, (I, J, K).
        names: names of the channels.

    Yields:
        Augmented inputs, and whether the prediction must be mirrored back.
    """
    yield inputs, False
    yield np.ascontiguousarray(inputs[:, ::-1]), True
    for together in channels_of_one_sequence(names or [str(channel) for channel in range(len(inputs))]):
        ends = np.percentile(inputs[together[0]][inside], [1, 99])
        for exponent in EXPONENTS:
            changed = inputs.copy()
            for channel in together:
                changed[channel][inside] = _gamma(inputs[channel][inside], exponent, *ends)
            yield changed, False


def channels_of_one_sequence(names: Sequence[str]) -> list[list[int]]:
    """Group channel numbers by sequence, so that images of one sequence are changed together.

    Args:
        names: name of the MRI in each channel; those in SAME_AS_T1W are one sequence.

    Returns:
        Channel numbers of each sequence, in order of first appearance.
    """
    result: dict[str, list[int]] = {}
    for channel, name in enumerate(names):
        result.setdefault("t1w" if name in SAME_AS_T1W else name, []).append(channel)
    return list(result.values())


def _gamma(values: np.ndarray, exponent: float, low: float, high: float) -> np.ndarray:
    if high <= low:
        return values
    share = (values - low) / (high - low)
    bent = np.clip(share, 0, 1) ** exponent + (share - np.clip(share, 0, 1))
    return (low + bent * (high - low)).astype(np.float32)


def fitted_errors(description: Mapping[str, Any], predictions: int) -> dict[str, dict[str, float]] | None:
    """Read the calibration of a bundle, for `expected_error`.

    Args:
        description: content of bundle.json.
        predictions: number of predictions that the spread is computed over.

    Returns:
        {"lesions": {floor, slope}, "voxels": {floor, slope}}; None without a calibration for this number of
        predictions.

    Raises:
        BadInput: the calibration is invalid.
    """
    result = description.get("uncertainty")
    if result is None:
        return None
    try:
        fitted = {kind: {key: float(result[kind][key]) for key in ("floor", "slope")} for kind in ("lesions", "voxels")}
        measured_over = int(result["predictions"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput("The model's bundle.json has an unreadable `uncertainty`. Get the model again.") from error
    numbers = [value for errors in fitted.values() for value in errors.values()]
    if not (np.isfinite(numbers).all() and min(numbers) >= 0):
        raise BadInput("The model's bundle.json has an `uncertainty` with invalid numbers. Get the model again.")
    return fitted if measured_over == predictions else None


def describe_uncertainty(description: Mapping[str, Any], predictions: int) -> str:
    """Describe how the uncertainty of a map is defined.

    Args:
        description: description of the bundle.
        predictions: number of predictions that the map's SD is over.

    Returns:
        A phrase that says whether the SD is calibrated, and on what.
    """
    if fitted_errors(description, predictions) is None:
        own = description.get("architecture", {}).get("losses", {}).get("error_scale", 0) > 0
        joined = " and error that the network predicts" if own else ""
        return f"SD over {predictions} predictions{joined}, not calibrated: the error may be many times larger"
    return f"SD of the expected error, calibrated on a {description['uncertainty']['measured on']}"

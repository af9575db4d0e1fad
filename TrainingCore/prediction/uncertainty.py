"""How firmly the model stands by its map: the spread of its answers to the same head, mirrored or of another contrast.

Test-time augmentation in the sense of Wang et al. 2019 (Neurocomputing 338:34-45). The changes are small enough for
the true DVR to stay what it is: mirrored left to right, and the contrast of one MRI a little harder or softer (ours).
What a model does not know at all it may say firmly: the spread is a lower bound of the error, not the error. A bundle
may carry what was measured of both (`export --calibration`); with that, the spread becomes the error to be expected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..runtime.errors import BadInput

EXPONENTS = (0.85, 1.15)  # (ours) gamma of the contrast changes; scanners of one protocol differ by about as much
SAME_AS_T1W = ("t1w", "t1ce_low", "t1ce")  # one sequence, before and after contrast agent


def variants(inputs: np.ndarray, inside: np.ndarray, names: Sequence[str] = ()) -> Iterator[tuple[np.ndarray, bool]]:
    """The inputs to spread over, and whether the answer has to be mirrored back; the first one is the head as it is.

    inputs: float32 (C, I, J, K) as the model expects them, of any intensity rule; inside: brain, (I, J, K); names: of
    the channels. They are: as it is, mirrored along the first axis (left to right), and for every channel two
    contrasts. Channels of one sequence (T1w before and after contrast agent) change together, as they would
    on another scanner: their difference is what the agent did. The exponents work between the (first) channel's 1st and
    99th percentile in the brain, beyond them linearly.
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
    """Numbers of the channels, those of one sequence in one list."""
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
    """What a bundle says of its errors: {"lesions": {floor, slope}, "voxels": {floor, slope}}, for `expected_error`.

    None where it says nothing, or was measured over another number of predictions. Raises BadInput where it cannot be.
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
    """What the uncertainty of a map is, for people."""
    if fitted_errors(description, predictions) is None:
        return f"SD over {predictions} predictions, not calibrated: the error may be many times larger"
    return f"SD of the error to be expected, calibrated on a {description['uncertainty']['measured on']}"

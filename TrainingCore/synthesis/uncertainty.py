"""How firmly the model stands by its map: the spread of its answers to the same head, mirrored or of another contrast.

Test-time augmentation in the sense of Wang et al. 2019 (Neurocomputing 338:34-45). The changes are small enough for
the true DVR to stay what it is: mirrored left to right, and the contrast of one MRI a little harder or softer (ours).
What a model does not know at all it may say firmly: the spread is a lower bound of the error, not the error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

EXPONENTS = (0.85, 1.15)  # (ours) gamma of the contrast changes; scanners of one protocol differ by about as much


def variants(inputs: np.ndarray, inside: np.ndarray) -> Iterator[tuple[np.ndarray, bool]]:
    """The inputs to spread over, and whether the answer has to be mirrored back; the first one is the head as it is.

    inputs: float32 (C, I, J, K) as the model expects them, of any intensity rule; inside: brain, (I, J, K). There are
    2 + 2 C of them: as it is, mirrored along the first axis (left to right), and for every channel two contrasts. The
    exponents work between the channel's 1st and 99th percentile in the brain, beyond them linearly.
    """
    yield inputs, False
    yield np.ascontiguousarray(inputs[:, ::-1]), True
    for channel in range(len(inputs)):
        for exponent in EXPONENTS:
            changed = inputs.copy()
            changed[channel][inside] = _gamma(inputs[channel][inside], exponent)
            yield changed, False


def _gamma(values: np.ndarray, exponent: float) -> np.ndarray:
    low, high = np.percentile(values, [1, 99])
    if high <= low:
        return values
    share = (values - low) / (high - low)
    bent = np.clip(share, 0, 1) ** exponent + (share - np.clip(share, 0, 1))
    return (low + bent * (high - low)).astype(np.float32)


def spread_by_label(maps: Sequence[np.ndarray], labels: np.ndarray) -> np.ndarray:
    """SD over the maps of each label's mean, (n + 1,), entry i for label i, NaN where a label has no voxel.

    maps: two or more (I, J, K); labels: int (I, J, K). The spread of a mean is what a row of the lesion table needs:
    the mean of the voxels' spreads would count what cancels out within a lesion.
    """
    inside = np.flatnonzero(labels)
    owner = labels.ravel()[inside]
    counts = np.bincount(owner).astype(float)
    counts[counts == 0] = np.nan
    means = [np.bincount(owner, found.ravel()[inside]) / counts for found in maps]
    return np.std(means, axis=0, ddof=1)

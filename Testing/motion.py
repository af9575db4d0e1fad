"""Simulated motion for tests: a patient who moves between parts of k-space (phase encoding along the second axis)."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from TrainingCore.imaging.volumes import Volume


def moved(image: Volume, millimetres: float, degrees: float, states: int = 8, seed: int = 0) -> Volume:
    """The image as it would be acquired in `states` positions, rigidly displaced by a normal draw of these SDs.

    Each position fills one contiguous block of phase-encoding lines; the block at the centre of k-space is undisplaced.
    """
    rng = np.random.default_rng(seed)
    shape, spacing = np.array(image.data.shape), image.spacing
    lines = np.fft.fftshift(np.arange(shape[1]))
    blocks = np.array_split(np.argsort(lines), states)
    spectrum = np.fft.fft(image.data, axis=1)
    middle = (shape - 1) / 2
    for number, block in enumerate(blocks):
        angles = np.deg2rad(degrees) * rng.standard_normal(3)
        shift = millimetres * rng.standard_normal(3)
        if number == states // 2:
            continue
        turn = _rotation(angles) * spacing[None, :] / spacing[:, None]
        offset = middle - turn @ middle + shift / spacing
        spectrum[:, block] = np.fft.fft(ndimage.affine_transform(image.data, turn, offset, order=1), axis=1)[:, block]
    return image.with_data(np.abs(np.fft.ifft(spectrum, axis=1)).astype(np.float32))


def _rotation(angles: np.ndarray) -> np.ndarray:
    x, y, z = angles
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return about_x @ about_y @ about_z

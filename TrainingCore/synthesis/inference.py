"""Running a generator where the memory allows it: whole on the wished device, in tiles there, then on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import MyelinSynthError

if TYPE_CHECKING:
    import torch

TILE, OVERLAP = 64, 32  # voxels; multiples of 16, so that a five-level U-Net halves them evenly (ours)


def predict_map(
    load: Callable[[Any], Any], inputs: np.ndarray, device: torch.device, flips: bool, say: Callable[[str], None]
) -> tuple[np.ndarray, str]:
    """Synthetic DVR on the model's grid.

    load: device -> system with `predict((1, C, I, J, K)) -> (1, 1, I, J, K)`; inputs: float32 (C, I, J, K); flips:
    average with the prediction of the mirrored head (the first axis runs from left to right); say: told when memory
    did not suffice. Returns float32 (I, J, K) and how it was made. Raises MyelinSynthError where the map is not finite
    or no way was found that fits into memory.
    """
    import torch

    cpu = torch.device("cpu")
    ways = [(device, False), (device, True)] + ([] if device.type == "cpu" else [(cpu, False), (cpu, True)])
    for place, (where, tiled) in enumerate(ways):
        try:
            found = _predict(load(where), inputs, flips, tiled)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            if where.type == "cuda":
                torch.cuda.empty_cache()
            if place + 1 < len(ways):
                say(f"Not enough memory for {_words(where, tiled)}; trying {_words(*ways[place + 1])}.")
            continue
        if not np.isfinite(found).all():
            raise MyelinSynthError("The model gave values that are not finite. Try --device cpu, or another model.")
        return found, _words(where, tiled)
    raise MyelinSynthError("There is not enough memory to run this model, even in tiles. Close other programs.")


def _words(device: torch.device, tiled: bool) -> str:
    return f"{'tiles' if tiled else 'the whole volume'} on {device}"


def _out_of_memory(error: BaseException) -> bool:
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return any(words in str(error).lower() for words in ("allocate memory", "out of memory"))


def _predict(system: Any, inputs: np.ndarray, flips: bool, tiled: bool) -> np.ndarray:
    import torch

    volume = torch.from_numpy(np.ascontiguousarray(inputs[None], dtype=np.float32))
    run = _in_tiles if tiled else _whole
    found = run(system, volume)
    if flips:
        found = (found + run(system, volume.flip(2)).flip(2)) / 2
    return found[0, 0].numpy()


def _whole(system: Any, volume: torch.Tensor) -> torch.Tensor:
    return system.predict(volume).float().cpu()


def _in_tiles(system: Any, volume: torch.Tensor) -> torch.Tensor:
    from ..networks.inference import tiled_forward

    return tiled_forward(lambda tile: _whole(system, tile.contiguous()), volume, TILE, OVERLAP)

"""Run a generator within the available memory: whole volume or tiles on the chosen device, then on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..runtime.errors import MyelinSynthError

if TYPE_CHECKING:
    import torch

TILE, OVERLAP = 64, 32  # voxels; multiples of 16, as required by a five-level U-Net (ours)


class Predictions(NamedTuple):
    """Predictions on the grid of the model.

    Attributes:
        maps: float32 (I, J, K), by variant of the inputs and member of the model.
        scales: SD of the error that each member expects for the first variant, float32 (I, J, K); empty if not
            requested.
        run_on: device and use of tiles.
    """

    maps: list[list[np.ndarray]]
    scales: list[np.ndarray]
    run_on: str


def predict_maps(
    load: Callable[[Any], Any],
    variants: Iterable[tuple[np.ndarray, bool]],
    device: torch.device,
    say: Callable[[str], None],
    with_scale: bool = False,
) -> Predictions:
    """Predict maps on the grid of the model: for each variant of the inputs, one map per member of the model.

    Args:
        load: device -> system with `predict((1, C, I, J, K)) -> (1, 1, I, J, K)`, or an Ensemble of them.
        variants: inputs, float32 (C, I, J, K), and whether they are mirrored along the first axis, in which case the
            prediction is mirrored back.
        device: device to try first.
        say: called with a message if memory did not suffice.
        with_scale: also predict the scale of the error, with `predict_with_scale(...) -> (1, 2, I, J, K)`.

    Returns:
        The maps.

    Raises:
        MyelinSynthError: a map is NaN or infinite, or there is not enough memory even for tiles on the CPU.
    """
    import torch

    cpu = torch.device("cpu")
    ways = [(device, False), (device, True)] + ([] if device.type == "cpu" else [(cpu, False), (cpu, True)])
    inputs_to_predict = list(variants)
    for attempt, (where, tiled) in enumerate(ways):
        try:
            result = [
                _predict(load(where), inputs, mirrored, tiled, with_scale and index == 0)
                for index, (inputs, mirrored) in enumerate(inputs_to_predict)
            ]
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            if where.type == "cuda":
                torch.cuda.empty_cache()
            if attempt + 1 < len(ways):
                say(
                    f"Not enough memory for {_words(where, tiled)}; trying {_words(*ways[attempt + 1])}"
                    + (", which changes the map slightly." if ways[attempt + 1][1] else ".")
                )
            continue
        if not all(np.isfinite(channels).all() for members in result for channels in members):
            raise MyelinSynthError("The model predicted NaN or infinite values. Try --device cpu, or another model.")
        maps = [[channels[0] for channels in members] for members in result]
        scales = [channels[1] for channels in result[0]] if with_scale else []
        return Predictions(maps, scales, _words(where, tiled))
    raise MyelinSynthError("There is not enough memory to run this model, even in tiles. Close other programs.")


def _words(device: torch.device, tiled: bool) -> str:
    return f"{'tiles' if tiled else 'the whole volume'} on {device}"


def _out_of_memory(error: BaseException) -> bool:
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return any(words in str(error).lower() for words in ("allocate memory", "out of memory"))


def _predict(system: Any, inputs: np.ndarray, mirrored: bool, tiled: bool, with_scale: bool) -> list[np.ndarray]:
    """Predict the map, and its scale as a second channel, (C, I, J, K), of every member."""
    import torch

    volume = torch.from_numpy(np.ascontiguousarray(inputs[None], dtype=np.float32))
    predictions = []
    for member in getattr(system, "members", [system]):
        predict = member.predict_with_scale if with_scale else member.predict
        channels = (_in_tiles if tiled else _whole)(predict, volume)[0].numpy()
        predictions.append(np.ascontiguousarray(channels[:, ::-1]) if mirrored else channels)
    return predictions


def _whole(predict: Callable[[torch.Tensor], torch.Tensor], volume: torch.Tensor) -> torch.Tensor:
    return predict(volume).float().cpu()


def _in_tiles(predict: Callable[[torch.Tensor], torch.Tensor], volume: torch.Tensor) -> torch.Tensor:
    from ..networks.inference import tiled_forward

    return tiled_forward(lambda tile: _whole(predict, tile.contiguous()), volume, TILE, OVERLAP)

"""Device of a run, and its processes under `torchrun`."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import distributed

from .errors import BadInput


@dataclass(frozen=True)
class Processes:
    """The processes of a run.

    Attributes:
        rank: number of this process, from 0.
        count: number of processes.
        device: device of this process.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def share(self, order: list[int]) -> list[int]:
        """Select this process's part of an epoch.

        Args:
            order: indices of the visits, the same in every process.

        Returns:
            Every `count`-th index; if the count does not divide their number, the first ones are used again, so that
            all processes take the same number of steps.
        """
        padded = len(order) + -len(order) % self.count
        return [order[index % len(order)] for index in range(padded)][self.rank :: self.count]

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """Average each value over all processes.

        Args:
            values: this process's values; every process must pass the same keys in the same order.

        Returns:
            Means by the same keys.
        """
        if self.count == 1:
            return values
        together = torch.tensor(list(values.values()), dtype=torch.float64, device=self.device)
        return dict(zip(values, over_processes(together).tolist(), strict=True))


def over_processes(values: torch.Tensor) -> torch.Tensor:
    """Average values over the processes of `torchrun`.

    Args:
        values: this process's values, of any shape, without a graph.

    Returns:
        The means; the values themselves if there is one process.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    total = values.clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()


def join_processes(device: str) -> Processes:
    """Connect to the other processes of `torchrun`, if there are any.

    Args:
        device: auto, cpu or cuda:N; under `torchrun`, each process takes the GPU of its local rank unless this is cpu.

    Returns:
        Rank, count and device of this process; (0, 1) without `torchrun`.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Processes(0, 1, choose_device(device))
    rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
    on_gpu = device != "cpu" and torch.cuda.is_available()
    chosen = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    return Processes(rank, count, chosen)


def leave_processes() -> None:
    """Wait for all processes and disconnect; leaving while another still wrote its bundles has caused aborts."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()


def choose_device(wish: str) -> torch.device:
    """Select a device.

    Args:
        wish: `auto` (a CUDA GPU if there is one), `cpu` or `cuda:N`.

    Returns:
        The device.

    Raises:
        BadInput: the device does not exist.
    """
    if wish == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wish)
    except RuntimeError as error:
        raise BadInput(f"--device {wish} is not a device. Use auto, cpu or cuda:0.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise BadInput(f"--device {wish}: no usable CUDA GPU. Use --device cpu, or check the GPU driver.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise BadInput(f"--device {wish}: this machine has {torch.cuda.device_count()} GPU(s), counted from cuda:0.")
    return device

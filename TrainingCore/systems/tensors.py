"""Tensors by name: how networks and optimisers are written to a checkpoint and read back."""

from __future__ import annotations

import torch

Tensors = dict[str, torch.Tensor]


def prefixed(prefix: str, tensors: Tensors) -> Tensors:
    """Add a prefix to names.

    Args:
        prefix: prefix without the slash.
        tensors: tensors by name.

    Returns:
        The same tensors by `prefix/name`.
    """
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def part(prefix: str, tensors: Tensors) -> Tensors:
    """Select the tensors of one prefix.

    Args:
        prefix: prefix without the slash.
        tensors: tensors by name.

    Returns:
        The tensors whose names start with `prefix/`, by the rest of their names.
    """
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}/")}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> Tensors:
    """Flatten the state of an optimiser (moments and step counts of Adam).

    Args:
        optimizer: any optimiser.

    Returns:
        Tensors by `<number of the parameter>.<key>`.
    """
    return {
        f"{index}.{key}": torch.as_tensor(value)
        for index, memory in optimizer.state_dict()["state"].items()
        for key, value in memory.items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Restore the state of an optimiser.

    Args:
        optimizer: optimiser of the same parameters; its learning rate is kept.
        tensors: what `optimizer_tensors` returned.
    """
    memory: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        memory.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": memory, "param_groups": optimizer.state_dict()["param_groups"]})
    for weight, kept in optimizer.state.items():
        for key, value in kept.items():
            if torch.is_tensor(value) and value.dim() and value.shape == weight.shape:
                kept[key] = torch.empty_like(weight).copy_(value)  # in the layout of the weight: fused Adam assumes it

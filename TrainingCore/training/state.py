"""Checkpoints as one safetensors file: tensors by name, everything else as JSON in its header. Nothing is pickled."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..runtime.errors import BadInput
from ..runtime.files import atomic_path
from ..systems.tensors import Tensors


def save_state(path: Path, tensors: Tensors, facts: dict[str, Any]) -> None:
    """Write a checkpoint atomically.

    Args:
        path: the safetensors file.
        tensors: tensors by name, on any device.
        facts: everything else; must be JSON-serialisable.

    Raises:
        OSError: the disk is full.
    """
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        try:
            save_file(flat, temporary, metadata={"facts": json.dumps(facts)})
        except SafetensorError as error:
            number = re.search(r"os error (\d+)", str(error))  # how it reports a full disk
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def load_state(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Read a checkpoint.

    Args:
        path: file written by `save_state`.

    Returns:
        Tensors by name, on the CPU; the facts.

    Raises:
        BadInput: the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})["facts"])
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 - not a dict
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise BadInput(f"The checkpoint {path} cannot be read ({error}). Restore it, or start a new run.") from error

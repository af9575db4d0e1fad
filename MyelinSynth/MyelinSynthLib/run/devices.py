"""Devices for the synthesis, queried in a child process, because importing PyTorch would freeze Slicer."""

from __future__ import annotations

import json
from collections.abc import Callable

from ..words import _
from . import childprocess
from .childprocess import ENDED, ChildProcess

AUTOMATIC, CPU = "auto", "cpu"
QUESTION = (
    "import json, torch; count = torch.cuda.device_count() if torch.cuda.is_available() else 0; "
    "print(json.dumps({'gpus': [torch.cuda.get_device_name(number) for number in range(count)]}))"
)


class DeviceQuery:
    """Queries the names of the GPUs that PyTorch can use; `report` is called with them, or never without PyTorch."""

    def __init__(self, report: Callable[[list[str]], None]) -> None:
        self._report = report
        self._child: ChildProcess | None = None

    @property
    def running(self) -> bool:
        """Whether the query is running."""
        return self._child is not None and self._child.state not in ENDED

    def start(self) -> None:
        """Start the query.

        Raises:
            SynthesisError: Slicer's Python is missing.
        """
        if not self.running:
            self._child = ChildProcess([childprocess.pythonExecutable(), "-c", QUESTION], onLog=self._onLine)
            self._child.start()

    def pump(self) -> bool:
        """Poll the child process; return True while the query is running."""
        return self._child is not None and self._child.pump()

    def stop(self) -> None:
        """Stop the query."""
        if self._child is not None:
            self._child.stop()

    def _onLine(self, line: str) -> None:
        try:
            names = json.loads(line)["gpus"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return  # output of a library, or PyTorch is missing
        if isinstance(names, list):
            self._report([str(name) for name in names])


def choices(gpus: list[str]) -> list[tuple[str, str]]:
    """List the devices to choose from.

    Args:
        gpus: names of the GPUs, in PyTorch's order.

    Returns:
        (value for `--device`, text for the user) of each device.
    """
    gpu_choices = [(f"cuda:{number}", f"{name} (GPU {number})") for number, name in enumerate(gpus)]
    return [(AUTOMATIC, _("Automatic")), *gpu_choices, (CPU, _("CPU"))]

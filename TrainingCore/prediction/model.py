"""A trained model on a device: what every command predicts with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.bundle import Bundle
from .inference import predict_maps

if TYPE_CHECKING:
    import torch

MAX_LOADED = 3  # a batch uses the same for every visit: one for the map, one for lesions, one for a missing FLAIR
_LOADED: dict[str, dict[Any, Any]] = {}  # systems by device, of the models that were loaded last


@dataclass
class TrainedModel:
    """A bundle and the device it runs on; the trained system is kept for every device it was needed on."""

    bundle: Bundle
    device: torch.device
    _systems: dict[Any, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, bundle: Bundle, wish: str = "auto") -> TrainedModel:
        """Read the weights onto `auto`, `cpu` or `cuda:N`, once per process. Raises BadInput without such a device."""
        from ..runtime.processes import choose_device

        device = choose_device(wish)
        about = [bundle.description[key] for key in ("architecture", "inputs", "output", "intensity")]
        key = json.dumps([bundle.sha256, str(device), about], sort_keys=True)
        if key not in _LOADED:
            while len(_LOADED) >= MAX_LOADED:
                _LOADED.pop(next(iter(_LOADED)))
            fresh = cls(bundle, device)
            fresh.system(device)
            _LOADED[key] = fresh._systems
        return cls(bundle, device, _LOADED[key])

    def system(self, device: torch.device) -> Any:
        """The trained system on a device."""
        if device not in self._systems:
            from ..systems.loading import load_system

            self._systems[device] = load_system(self.bundle, device)
        return self._systems[device]

    @property
    def inputs(self) -> list[str]:
        """Names of the MRI it needs, in the order of its channels."""
        return list(self.bundle.description["inputs"])

    @property
    def target(self) -> str:
        """Name of the volume it makes: `dvr` or an MRI."""
        return str(self.bundle.description["output"])

    @property
    def segments(self) -> bool:
        """Whether it also finds hyperintensities."""
        return hasattr(self._member(), "segment")

    @property
    def synthesizes(self) -> bool:
        """Whether it makes its target; one comparator only finds hyperintensities."""
        return bool(getattr(self._member(), "synthesises", True))

    @property
    def from_masks(self) -> bool:
        """Whether it predicts from masks instead of MRI (the comparator `geometry`)."""
        return bool(getattr(self._member(), "from_masks", False))

    def _member(self) -> Any:
        system = self.system(self.device)
        return getattr(system, "members", [system])[0]

    def maps(
        self, variants: Iterable[tuple[np.ndarray, bool]], say: Callable[[str], None]
    ) -> tuple[list[list[np.ndarray]], str]:
        """One map per variant and member, and how they were computed; see `inference.predict_maps`."""
        return predict_maps(self.system, variants, self.device, say)

    def segment(self, inputs: np.ndarray) -> np.ndarray:
        """Probability of a hyperintensity, float32 (I, J, K), from float32 (C, I, J, K)."""
        import torch

        batch = torch.from_numpy(np.ascontiguousarray(inputs[None], np.float32)).to(self.device)
        return self.system(self.device).segment(batch)[0, 0].float().cpu().numpy()

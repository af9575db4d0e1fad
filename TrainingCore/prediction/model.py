"""A trained model on a device, as used by all commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.bundle import Bundle
from .inference import Predictions, predict_maps

if TYPE_CHECKING:
    import torch

MAX_LOADED = 3  # a batch uses the same models for every visit: for the map, for lesions, for a missing FLAIR
_LOADED: dict[str, dict[Any, Any]] = {}  # systems by device, of the most recently loaded models


@dataclass
class TrainedModel:
    """A bundle and the device it runs on; loaded systems are cached by device."""

    bundle: Bundle
    device: torch.device
    _systems: dict[Any, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, bundle: Bundle, wish: str = "auto") -> TrainedModel:
        """Load the weights, once per process.

        Args:
            bundle: the model.
            wish: auto, cpu or cuda:N.

        Returns:
            The model.

        Raises:
            BadInput: there is no such device.
        """
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
        """Load the trained system onto a device; it stays loaded.

        Args:
            device: device to predict on, not necessarily that of the model.

        Returns:
            The system, or an Ensemble if the bundle has several members.
        """
        if device not in self._systems:
            from ..systems.loading import load_system

            self._systems[device] = load_system(self.bundle, device)
        return self._systems[device]

    @property
    def inputs(self) -> list[str]:
        """Names of the input contrasts, in the order of the channels."""
        return list(self.bundle.description["inputs"])

    @property
    def target(self) -> str:
        """Name of the output: `dvr` or an MRI contrast."""
        return str(self.bundle.description["output"])

    @property
    def segments(self) -> bool:
        """Whether it segments lesions."""
        return hasattr(self._member(), "segment")

    @property
    def synthesizes(self) -> bool:
        """Whether it synthesizes its target; the unimodal comparator only segments hyperintensities."""
        return bool(getattr(self._member(), "synthesises", True))

    @property
    def from_masks(self) -> bool:
        """Whether it predicts from masks instead of MRI (the comparator `geometry`)."""
        return bool(getattr(self._member(), "from_masks", False))

    def _member(self) -> Any:
        system = self.system(self.device)
        return getattr(system, "members", [system])[0]

    def maps(
        self, variants: Iterable[tuple[np.ndarray, bool]], say: Callable[[str], None], with_scale: bool = False
    ) -> tuple[Predictions, np.ndarray | None]:
        """Predict one map per variant of the inputs and member of the model; see `inference.predict_maps`.

        Args:
            variants: inputs, float32 (C, I, J, K) on the grid of the model, and whether they are mirrored.
            say: called with a message if memory did not suffice.
            with_scale: also predict the error, where the network was trained to (`losses.error_scale`).

        Returns:
            The maps; the SD of the first variant's error in each voxel in the unit of the output, float32 (I, J, K),
            root mean square over the members, or None if it is not predicted.

        Raises:
            MyelinSynthError: a map is NaN or infinite, or there is not enough memory even for tiles on the CPU.
        """
        with_scale = with_scale and getattr(self.system(self.device), "predicts_scale", False)
        predictions = predict_maps(self.system, variants, self.device, say, with_scale)
        if not with_scale:
            return predictions, None
        return predictions, np.sqrt(np.mean(np.square(predictions.scales), axis=0, dtype=np.float32))

    def segment(self, inputs: np.ndarray) -> np.ndarray:
        """Predict the probability of a lesion.

        Args:
            inputs: float32 (C, I, J, K), scaled by the intensity rule.

        Returns:
            Probability, float32 (I, J, K).
        """
        import torch

        batch = torch.from_numpy(np.ascontiguousarray(inputs[None], np.float32)).to(self.device)
        return self.system(self.device).segment(batch)[0, 0].float().cpu().numpy()

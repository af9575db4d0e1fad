"""Exponential moving average of a network's weights, used for prediction instead of the network itself."""

from __future__ import annotations

from copy import deepcopy
from typing import Generic

import torch

from .learner import Network
from .tensors import Tensors, part, prefixed

NAME = "average"  # prefix of its tensors in a checkpoint


class MovingAverage(Generic[Network]):
    """Follows a network that learns; does nothing where the share is 0.

    Args:
        share: decay, the share of the old average that is kept in each step, 0 to below 1.
    """

    def __init__(self, network: Network, share: float) -> None:
        self.network, self.share = network, share
        self._slow = deepcopy(network).requires_grad_(False) if share > 0 else None

    @property
    def predicting(self) -> Network:
        """The average, or the network itself if there is none."""
        return self.network if self._slow is None else self._slow

    def follow(self) -> None:
        """Move towards the network's weights, once after every step."""
        if self._slow is not None:
            with torch.no_grad():
                for slow, fast in zip(self._slow.parameters(), self.network.parameters(), strict=True):
                    slow.lerp_(fast, 1 - self.share)

    def state(self) -> Tensors:
        """Tensors for a checkpoint."""
        return {} if self._slow is None else prefixed(NAME, dict(self._slow.state_dict()))

    def load_state(self, tensors: Tensors) -> None:
        """Restore what `state` returned.

        Args:
            tensors: all tensors of the checkpoint.
        """
        if self._slow is not None:
            self._slow.load_state_dict(part(NAME, tensors))

    def hand_back(self) -> None:
        """Give the network the average's weights, where both are to start from what a bundle held."""
        if self._slow is not None:
            self.network.load_state_dict(self._slow.state_dict())

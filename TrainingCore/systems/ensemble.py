"""Ensemble of trained systems of one kind: runs with different seeds, or the folds of a cross-validation.

The prediction is the mean of the members; their spread is a measure of uncertainty (Lakshminarayanan et al. 2017).
Ensembles are not trained but exported by `export --ensemble` or `export --crossvalidation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Ensemble:
    """Used like a system: `predict` gives the mean of the members; `members` are the systems themselves."""

    def __init__(self, members: Sequence[Any]) -> None:
        if not members:
            raise ValueError("an ensemble needs at least one member")
        self.members = list(members)
        self.device = members[0].device

    def predict(self, inputs: Tensor) -> Tensor:
        """Average the members' predictions.

        Args:
            inputs: rescaled MRI, (N, C, I, J, K).

        Returns:
            Mean target, float32 (N, 1, I, J, K).
        """
        return torch.stack([member.predict(inputs).float() for member in self.members]).mean(dim=0)

    @property
    def predicts_scale(self) -> bool:
        """Whether every member predicts the scale of its error."""
        return all(getattr(member, "predicts_scale", False) for member in self.members)

    def segment(self, inputs: Tensor) -> Tensor:
        """Average the members' probabilities, if the system segments.

        Args:
            inputs: rescaled MRI, (N, C, I, J, K).

        Returns:
            Mean probability, float32 (N, 1, I, J, K) in [0, 1].
        """
        return torch.stack([member.segment(inputs).float() for member in self.members]).mean(dim=0)

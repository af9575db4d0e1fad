"""Several trained systems of one kind as one: the folds of a cross-validation predict together.

The map is their mean; how far they are apart says where they are unsure (Lakshminarayanan et al. 2017). Not a system to
train: it is made by `export --crossvalidation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Ensemble:
    """Answers like a system: `predict` gives the mean of its members, `members` the systems themselves."""

    def __init__(self, members: Sequence[Any]) -> None:
        if not members:
            raise ValueError("an ensemble needs at least one member")
        self.members = list(members)
        self.device = members[0].device

    def predict(self, inputs: Tensor) -> Tensor:
        """Mean of the members' targets, (N, 1, I, J, K), from inputs (N, C, I, J, K)."""
        return torch.stack([member.predict(inputs).float() for member in self.members]).mean(dim=0)

    def segment(self, inputs: Tensor) -> Tensor:
        """Mean of the members' probabilities, where the system segments. (N, C, I, J, K) -> (N, 1, I, J, K)."""
        return torch.stack([member.segment(inputs).float() for member in self.members]).mean(dim=0)

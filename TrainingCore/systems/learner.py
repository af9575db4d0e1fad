"""A network in training: optimiser, precision, distribution with `torchrun`, and checkpoint."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor, nn

from .parts import autocast, distributed, infer, use_memory_format
from .tensors import Tensors, load_optimizer, optimizer_tensors, part, prefixed

Network = TypeVar("Network", bound=nn.Module)


class Learner(Generic[Network]):
    """A network with its optimiser, so that a training step can be written as in the paper.

    >>> generated = G(x)                           # gradients reach the weights of G
    >>> D.step(loss(D(y), 1) + loss(D(generated.detach()), 0))
    >>> G.step(loss(D.frozen(generated), 1))       # gradients pass through D, whose weights stay
    >>> G.infer(x)                                # as it predicts: no dropout, the norms' running means, no gradients

    All outputs are float32, whatever precision `kind` the network computes in.

    Args:
        memory_format: `memory_format` of the recipe; does not change weights or their names.
        compiled: `compile` of the recipe; does not change weights or their names.
    """

    def __init__(
        self,
        network: Network,
        rate: float,
        betas: tuple[float, float],
        device: torch.device,
        kind: torch.dtype,
        memory_format: str = "contiguous",
        compiled: bool = False,
    ) -> None:
        self.module = network.to(device)
        use_memory_format(self.module, memory_format, device, kind)
        fused = device.type in ("cpu", "cuda")  # one pass over all weights, a quarter of the time on a CPU
        self.optimizer = torch.optim.Adam(self.module.parameters(), rate, betas, fused=fused)
        self.device, self.kind = device, kind
        self.scaler = torch.amp.GradScaler(device.type, enabled=kind is torch.float16)
        self.compiled = compiled
        self._shared = self._faster(self.module)

    def distribute(self) -> None:
        """Share gradients between the processes of `torchrun`."""
        self._shared = self._faster(distributed(self.module, self.device))

    def _faster(self, network: nn.Module) -> nn.Module:
        """The same network, compiled with torch.compile if requested; weights are shared."""
        return cast(nn.Module, torch.compile(network)) if self.compiled else network

    def __call__(self, inputs: Tensor) -> Tensor:
        """The network's output in training mode, float32; shapes as the network's."""
        self.module.train()
        with autocast(self.device, self.kind):
            return self._shared(inputs).float()

    def frozen(self, inputs: Tensor) -> Tensor:
        """Run the network in its current mode, with gradients for the inputs but none for the weights.

        This pass is not compiled, whatever `compile` says.

        Args:
            inputs: (N, C, ...).

        Returns:
            Output, float32.
        """
        self.module.requires_grad_(False)
        with autocast(self.device, self.kind):
            output = self.module(inputs).float()
        self.module.requires_grad_(True)
        return output

    def infer(self, inputs: Tensor) -> Tensor:
        """Run the network in evaluation mode (no dropout, running means of the norms), without gradients.

        Args:
            inputs: (N, C, ...), on any device.

        Returns:
            Output, float32 on the device of the network.
        """
        return infer(self.module, inputs, self.kind)

    def step(self, loss: Tensor) -> None:
        """One step of Adam down a loss (scaled against underflow in float16).

        Args:
            loss: a single number.
        """
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def set_rate(self, rate: float) -> None:
        """Set the learning rate.

        Args:
            rate: learning rate of all weights.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def state(self, name: str) -> Tensors:
        """Collect what a checkpoint needs: the weights and the state of Adam.

        Args:
            name: name of the network; the keys start with `name`/ and `name`_adam/.

        Returns:
            Tensors by key, on the device of the network.
        """
        weights = prefixed(name, dict(self.module.state_dict()))
        return weights | prefixed(f"{name}_adam", optimizer_tensors(self.optimizer))

    def load_state(self, name: str, tensors: Tensors) -> None:
        """Restore what `state` returned.

        Args:
            name: name of the network, as given to `state`.
            tensors: all tensors of the checkpoint.
        """
        self.module.load_state_dict(part(name, tensors))
        load_optimizer(self.optimizer, part(f"{name}_adam", tensors))


AnyLearner = Learner[Any]

"""Base class of all systems: building, distribution, checkpoints, bundles and description.

A system adds what is specific to its paper: the networks it passes to `learner`, a training step, and prediction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ..data.bundle import Bundle
from ..data.case import Case
from ..data.recipe import Settings, leaves, load_recipe, value_of, with_values
from ..runtime.errors import BadInput
from .learner import AnyLearner, Learner, Network
from .parts import load_weights, other_network, parameters, precision
from .rules import PRECISIONS
from .samples import Sample, dvr_errors
from .tensors import Tensors
from .training_progress import TrainingProgress

Kind = TypeVar("Kind", bound="System")


class System(ABC):
    """The five verbs: build, training_step, validation_step, predict, describe.

    >>> system = system_class("curricular")(load_recipe("curricular"))
    >>> losses = system.training_step([sample], progress, np.random.default_rng(0))
    >>> dvr = system.predict(sample.inputs)                                       # (1, 1, I, J, K)

    Attributes:
        name: value of `system` in recipes.
        score: keys of `validation_step` whose sum selects the best epoch; lower is better.
        progress_losses: losses in the progress line, with formats.
        architecture_keys: recipe keys that are needed to rebuild the networks and to predict in the same way; a bundle
            holds them as `architecture`.
        optional_weights: prefixes of weights that a bundle of this system may lack, or hold in addition.
        epochs: number of epochs of a closed-form system; None to use that of the recipe.
        phases: how often the training steps of the recipe are run in sequence (2: the networks are trained in turn).
        keeps_map: whether training leaves the map of an initial model as it is.
        from_masks: whether it predicts from masks (`predict_case`) instead of MRI, as the comparator `geometry`.
    """

    name: ClassVar[str]
    score: tuple[str, ...] = ("l1", "lesion_l1")
    progress_losses: ClassVar[dict[str, str]]
    architecture_keys: ClassVar[tuple[str, ...]] = ()
    optional_weights: ClassVar[tuple[str, ...]] = ()
    keeps_map: bool = False
    epochs: ClassVar[int | None] = None
    phases: int = 1
    from_masks: ClassVar[bool] = False

    def __init__(self, recipe: Settings, device: Any = "cpu") -> None:
        self.recipe, self.device = recipe, torch.device(device)
        self.channels = len(recipe["data"]["inputs"])
        self.precision = precision(recipe["precision"], self.device)
        self.learners: dict[str, AnyLearner] = {}
        torch.manual_seed(recipe["seed"])

    def learner(self, name: str, network: Network, rate: str = "rate") -> Learner[Network]:
        """Create and register the Learner of a network.

        Args:
            name: name of the network in checkpoints.
            network: the network.
            rate: key of its learning rate in the recipe's `optimizer`.

        Returns:
            The Learner, with Adam as optimiser.
        """
        rates = self.recipe["optimizer"]
        learner = Learner(
            network,
            rates[rate],
            tuple(rates["betas"]),
            self.device,
            self.precision,
            self.recipe.get("memory_format", "auto"),
            self.recipe.get("compile", False),
        )
        self.learners[name] = learner
        return learner

    def distribute(self) -> None:
        """Share gradients between the processes of `torchrun`."""
        for learner in self.learners.values():
            learner.distribute()

    # -- the paper's part --------------------------------------------------------------------------------------------

    @abstractmethod
    def training_step(
        self, batch: list[Sample], progress: TrainingProgress, rng: np.random.Generator
    ) -> dict[str, float]:
        """Train on some visits.

        Args:
            batch: the visits.
            progress: how far the training is.
            rng: source of all random numbers.

        Returns:
            The losses by name.
        """

    def validation_step(self, sample: Sample) -> dict[str, float]:
        """Measure the prediction for one validation visit.

        By default the mean absolute DVR error over the brain and over its lesions.

        Args:
            sample: the visit.

        Returns:
            Measures by name; nan if undefined, e.g. over lesions if there are none. Those in `score` select the epoch.
        """
        return dvr_errors(self.predict(sample.inputs), sample)

    @abstractmethod
    def predict(self, inputs: Tensor) -> Tensor:
        """Predict the target.

        Args:
            inputs: rescaled MRI, (N, C, I, J, K), on any device; channels as in `data.inputs`.

        Returns:
            Target, float32 (N, 1, I, J, K); undefined outside the brain.

        Raises:
            BadInput: the system does not predict from MRI.
        """

    def predict_case(self, case: Case) -> np.ndarray:
        """Predict the target of a prepared visit.

        Args:
            case: a visit on the grid of the recipe.

        Returns:
            Target, float32 (I, J, K); undefined outside the brain.
        """
        stacked = np.stack([case.volumes[name] for name in self.recipe["data"]["inputs"]]).astype(np.float32)
        return self.predict(torch.from_numpy(stacked[None]).to(self.device))[0, 0].float().cpu().numpy()

    @abstractmethod
    def inference_networks(self) -> Mapping[str, nn.Module]:
        """Networks needed for prediction, by the prefix of their weights in a bundle."""

    def settings(self) -> dict[str, Any]:
        """Settings that `describe` prints for this system only."""
        return {}

    def chosen_on_validation(self, entry: dict[str, float]) -> dict[str, float]:
        """Choose parameters on the validation set besides the epoch, such as a threshold.

        Args:
            entry: the log entry of the epoch, with its `validation_` measures.

        Returns:
            Parameters by name in a bundle; empty by default.
        """
        return {}

    def lesion_shares(self, sample: Sample) -> dict[str, float]:
        """Share of lesional voxels in each kind of patch that the discriminator sees.

        Args:
            sample: one visit.

        Returns:
            Share, 0 to 1, by kind of patch; empty for a system without such patches.
        """
        return {}

    def warnings(self, entry: dict[str, float]) -> list[str]:
        """Check an epoch for signs of unsuitable settings.

        Args:
            entry: mean losses of the epoch by name.

        Returns:
            Sentences to print; empty by default.
        """
        return []

    # -- state -------------------------------------------------------------------------------------------------------

    def weights(self) -> Tensors:
        """Weights of the networks needed for prediction, as stored in a bundle."""
        return {
            f"{start}{k}": v
            for start, network in self.inference_networks().items()
            for k, v in network.state_dict().items()
        }

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """Everything needed to resume a run: tensors, and plain numbers."""
        tensors = {k: v for name, learner in self.learners.items() for k, v in learner.state(name).items()}
        return tensors, {"scalers": {name: learner.scaler.state_dict() for name, learner in self.learners.items()}}

    def load_state(self, tensors: Tensors, facts: dict[str, Any]) -> None:
        """Restore a checkpoint.

        Args:
            tensors: tensors that `state` returned.
            facts: facts that `state` returned.

        Raises:
            BadInput: the checkpoint belongs to other networks.
        """
        scalers = facts.get("scalers", {})
        if set(scalers) != set(self.learners):
            raise BadInput(
                "The checkpoint belongs to another version of this software or to another recipe. Start a new run."
            )
        for name, learner in self.learners.items():
            learner.load_state(name, tensors)
            if learner.scaler.is_enabled() and scalers[name]:
                learner.scaler.load_state_dict(scalers[name])

    # -- bundles -----------------------------------------------------------------------------------------------------

    def start_from(self, bundle: Bundle) -> None:
        """Initialise the prediction networks from a bundle; from an ensemble, from its first member.

        Weights of `optional_weights` stay as they are if the bundle lacks them, and are left out if the network does.

        Args:
            bundle: a trained model of this system with the same architecture.

        Raises:
            BadInput: the weights belong to other networks.
        """
        weights = bundle.members()[0].weights()
        for start, network in self.inference_networks().items():
            own = {name.removeprefix(start): value for name, value in weights.items() if name.startswith(start)}
            optional = {k: v for k, v in network.state_dict().items() if k.startswith(self.optional_weights)}
            own = {k: v for k, v in own.items() if optional or not k.startswith(self.optional_weights)}
            load_weights(network, optional | own, bundle)

    @classmethod
    def from_bundle(cls: type[Kind], bundle: Bundle, device: Any = "cpu") -> Kind:
        """Build the system of a bundle for prediction, without discriminators.

        Args:
            bundle: a trained model of this system.
            device: torch device, or its name.

        Returns:
            The system with the weights of the bundle.

        Raises:
            BadInput: the bundle belongs to other networks.
        """
        about, recipe = bundle.description, load_recipe(cls.name)
        recipe["data"] |= {"inputs": about["inputs"], "target": about["output"], "intensity": about["intensity"]}
        if "adversarial" in recipe.get("losses", {}):
            recipe["losses"]["adversarial"] = 0.0
        if (trained_in := (about.get("recipe") or {}).get("precision")) in PRECISIONS:
            recipe["precision"] = trained_in
        architecture = dict(leaves(about["architecture"]))
        known = {key: architecture[key] for key in cls.architecture_keys if key in architecture}
        described = with_values(recipe, known, where=f"The model {bundle.path}")
        cls._check_fits(described, bundle)
        system = cls(described, device)
        system.start_from(bundle)
        return system

    @classmethod
    def _check_fits(cls, described: Settings, bundle: Bundle) -> None:
        """Raise BadInput if no such network can be built or has these weights, before memory is taken for it."""
        try:
            with torch.device("meta"):
                shapes = {name: value.shape for name, value in cls(described, "meta").weights().items()}
        except (ValueError, TypeError, IndexError, ArithmeticError, RuntimeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BadInput(f"The model {bundle.path} describes a network that cannot be built: {reason}.") from error
        weights = bundle.weights()
        if any(name not in weights or weights[name].shape != shape for name, shape in shapes.items()):
            raise other_network(bundle)

    def architecture(self) -> dict[str, Any]:
        """Settings that a bundle needs to rebuild the networks and to predict in the same way."""
        described: dict[str, Any] = {}
        for key in self.architecture_keys:
            *groups, leaf = key.split(".")
            group_of_key = described
            for group in groups:
                group_of_key = group_of_key.setdefault(group, {})
            group_of_key[leaf] = value_of(self.recipe, key)
        return described

    def describe(self) -> dict[str, Any]:
        """Parameter counts and settings to print."""
        data = self.recipe["data"]
        return {
            "trainable parameters": {name: parameters(learner.module) for name, learner in self.learners.items()},
            "inputs": data["inputs"],
            "output": data["target"],
            "intensity rule": data["intensity"],
            **self.settings(),
        }

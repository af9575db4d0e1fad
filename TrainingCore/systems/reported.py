"""Results reported in papers, which our reports show beside ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Values = Mapping[str, Mapping[str, str]]  # measure or title -> the paper's name for a model -> the number as printed


@dataclass(frozen=True)
class Reported:
    """Results of one paper.

    Attributes:
        task: name of the task (see evaluation.tasks) whose reports show them.
        measures: values by key of a measure.
        by_target: values by target and measure, for papers with several targets.
        pooled: correlations over all people, by title.
        inputs: ablation table, inputs -> measure -> mean (SD).
        inputs_order: order in which the paper drops inputs.
        learning_curves: conclusion of the paper from its learning curves.
        searched: target -> recipe key -> value selected by the paper's own search.
    """

    task: str
    measures: Values = field(default_factory=dict)
    by_target: Mapping[str, Values] = field(default_factory=dict)
    pooled: Values = field(default_factory=dict)
    inputs: Mapping[frozenset[str], Mapping[str, str]] = field(default_factory=dict)
    inputs_order: str = ""
    learning_curves: str = ""
    searched: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def of_measure(self, key: str, target: str = "") -> Mapping[str, str]:
        """Values of a measure in the paper.

        Args:
            key: key of the measure.
            target: target of the models, which matters only for papers with several.

        Returns:
            The paper's name for a model -> its value as printed; may be empty.
        """
        return self.by_target.get(target, self.measures).get(key, {})

    def with_inputs(self, inputs: Iterable[str]) -> Mapping[str, str]:
        """Row of the paper's ablation table.

        Args:
            inputs: names of the model's inputs, in any order.

        Returns:
            Measure -> mean (SD) as printed; empty if the paper has no such model.
        """
        return self.inputs.get(frozenset(inputs), {})

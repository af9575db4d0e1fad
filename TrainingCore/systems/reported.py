"""What papers report of their models, which our reports print beside ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Values = Mapping[str, Mapping[str, str]]  # measure or title -> the paper's name for a model -> the number as printed


@dataclass(frozen=True)
class Reported:
    """The figures of one paper.

    Attributes:
        task: name of the task (see evaluation.tasks) whose reports print them.
        measures: by key of a measure.
        by_target: the same for each target, where the paper makes several. pooled: correlations over all people, by
            their title.
        inputs: ablation table, inputs -> measure -> mean (SD).
        inputs_order: in which order the paper leaves inputs out.
        learning_curves: what the paper reads off its learning curves.
        searched: target -> recipe key -> value that the paper's own search chose.
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
        """The paper's name for a model -> its value of a measure, for models with this target; may be empty."""
        return self.by_target.get(target, self.measures).get(key, {})

    def with_inputs(self, inputs: Iterable[str]) -> Mapping[str, str]:
        """Measure -> mean (SD) of the paper's model with these inputs; empty if the paper has none."""
        return self.inputs.get(frozenset(inputs), {})

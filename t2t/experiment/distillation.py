"""A student learns what a teacher's run says (Hinton et al., arXiv:1503.02531).

The student stays what it is: its variables, its checkpoints, its decoding. Only its
loss while it is trained becomes (1 - w) · its own + w · that against the teacher.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from t2t import config as config_lib
from t2t import losses as losses_lib
from t2t import registry
from t2t.config import Config, ConfigError
from t2t.decode.decoder import load_model
from t2t.run import build, checkpoints
from t2t.run.folder import open_run


@registry.configurable("distillation")
@dataclasses.dataclass(frozen=True)
class Distillation:
    """Knobs of distillation.

    teacher: its run; '' for none. temperature: T. weight: w.
    """

    teacher: str = ""
    temperature: float = 2.0
    weight: float = 0.5

    def __post_init__(self) -> None:
        if self.temperature <= 0 or not 0 <= self.weight <= 1:
            raise ConfigError(
                "distill_temperature is above 0 and distill_weight in [0, 1], not "
                f"{self.temperature} and {self.weight}"
            )


def distilled(model: Any, problem: Any, config: Config) -> Any:
    """The model, or its form that is taught where the knobs name a teacher.

    Raises:
      RunError, CheckpointError: when there is no such run.
      ConfigError: when the teacher reads or says other ids than the student.
    """
    knobs: Distillation = config_lib.build("distillation")()
    if not knobs.teacher:
        return model
    folder, said = open_run(knobs.teacher)
    path = checkpoints.resolve(folder.path)
    own, teacher = load_model(folder, said, path)
    build.apply(config)  # gin knows one configuration: the student's again
    theirs, ours = own.offered(), problem.offered()
    for name in ours:
        if name not in theirs or _meaning(theirs[name]) != _meaning(ours[name]):
            raise ConfigError(
                f"the teacher {knobs.teacher} does not read {name!r} as this run does: "
                "its vocabulary is another. Train both from one --data_dir"
            )
    return Taught(model, teacher, knobs)


def _meaning(feature: Any) -> Any:
    """What its ids stand for."""
    vocabulary = feature.vocabulary
    if vocabulary is None:
        return feature
    return [vocabulary.decode([i]) for i in range(vocabulary.size)]


class Taught:
    """A student with its teacher; all but its loss is the student's own."""

    def __init__(self, student: Any, teacher: Any, knobs: Distillation) -> None:
        self._student, self._teacher, self._knobs = student, teacher, knobs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._student, name)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._student(*arguments, **named)

    def losses(
        self, batch: dict[str, Any], *, training: bool
    ) -> tuple[dict[str, losses_lib.Sum], dict[str, Any]]:
        """As the student's; while training 'all' is what both say."""
        found, inner = self._student.losses(batch, training=training)
        if not training:
            return found, inner
        if "logits" not in inner:
            raise ConfigError(f"{self._student.name} has no logits to be taught by")
        knobs = self._knobs
        taught, weight = losses_lib.soft_cross_entropy(
            inner["logits"],
            self._teacher(batch, training=False)[0],
            inner["counted"],
            temperature=knobs.temperature,
        )
        total, _ = found["all"]
        mixed = (1 - knobs.weight) * total + knobs.weight * taught, weight
        metrics = {**inner.get("metrics", {}), "distillation": (taught, weight)}
        return {**found, "all": mixed}, {**inner, "metrics": metrics}

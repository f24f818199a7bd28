"""Keras's optimizers by name. Clipping is the step's business, not theirs: under
`tf.distribute` Keras clips before the gradients are summed.
"""

from __future__ import annotations

import keras

from t2t import knobs, registry
from t2t.optimizers.schedules import LearningRate, Schedule

TABLE = "/(table|shared)$"  # what embeddings call their weights


@registry.configurable("optimizer")
def make_optimizer(
    name: str = "adam",
    *,
    learning_rate: LearningRate | None = None,
    beta_1: float = 0.9,
    beta_2: float = 0.997,
    epsilon: float = 1e-9,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
) -> keras.optimizers.Optimizer:
    """The optimizer called `name`.

    Args:
      name: adam, adamw, adafactor (arXiv:1804.04235), lion (arXiv:2302.06675), muon
        (arXiv:2502.16982: matrices by orthogonalised momentum in steps as large as
        AdamW's, which embeddings and vectors keep), sgd or momentum (Nesterov's).
      beta_1, beta_2, epsilon: of the Adam family; lion takes its betas too.
      weight_decay: decoupled, times the learning rate; none with 'adam' and 'sgd'.
      momentum: of 'momentum'.

    Raises:
      ValueError: for an unknown name.
    """
    knobs.check_choice("optimizer.name", name)
    rate = Schedule(learning_rate or LearningRate())
    decay = weight_decay or None
    adam = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}
    if name == "adam":
        return keras.optimizers.Adam(rate, **adam)
    if name == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=weight_decay, **adam)
    if name == "adafactor":
        return keras.optimizers.Adafactor(rate, weight_decay=decay)
    if name == "lion":
        return keras.optimizers.Lion(
            rate, beta_1=beta_1, beta_2=beta_2, weight_decay=decay
        )
    if name == "muon":
        return keras.optimizers.Muon(
            rate,
            adam_beta_1=beta_1,
            adam_beta_2=beta_2,
            adam_weight_decay=weight_decay,
            epsilon=epsilon,
            weight_decay=weight_decay,
            exclude_layers=[TABLE],
        )
    if name == "sgd":
        return keras.optimizers.SGD(rate)
    return keras.optimizers.SGD(
        rate, momentum=momentum, nesterov=True, weight_decay=decay
    )

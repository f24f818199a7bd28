"""Rewards that are known when an episode has ended, and models that learn from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from t2t.bridge.flat import Bucketise, Squares, Standardise
from t2t.features import Feature
from t2t.layers.ranks import LADDER, MEAN, SCALE, Ranks
from t2t.models.cloning import Cloning
from t2t.models.evolution import Evolution
from t2t.rl.experience import Experience, Recorder

FEATURES = {
    "observation": Feature("real", (3,), "float32", "X"),
    "default": Feature("label", (), "int32", "", classes=2),
    "action": Feature("label", (), "int32", "", classes=2),
}


class Writer:
    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.items: list[tuple[int, int]] = []

    def append(self, row: dict[str, Any]) -> None:
        self.rows.append(row)

    def create_item(self, table: str, *, length: int, priority: float) -> None:
        self.items.append((len(self.rows), length))

    def flush(self) -> None:
        pass

    def state(self) -> dict[str, Any]:
        return {}


def _rows(lengths: list[int]) -> list[dict[str, Any]]:
    """Episodes of so many steps, the last with what each was worth, and their ends."""
    rows, number = [], 0
    for length in lengths:
        for step in range(length + 1):
            row = {"number": np.int32(number), "reward": np.float32(0)}
            row["last"] = np.bool_(step == length)
            if step == length - 1:
                row["hindsight"] = np.arange(length, dtype=np.float32) + 1
            rows.append(row)
            number += 1
    return rows


@pytest.mark.parametrize("lengths", [[3, 1, 20, 2, 1, 1, 5], [40, 1, 1, 40]])
def test_rows_wait_and_have_what_they_were_worth(lengths: list[int]) -> None:
    experience = Experience(items="sequences", length=4, hindsight=True)
    writer: Any = Writer()
    recorder = Recorder(experience, writer)
    rows = _rows(lengths)
    for n, row in enumerate(rows):
        made = recorder(row)
        assert made <= experience.most_items == 1
        if n == len(rows) // 2:  # killed, and gone on with
            state = recorder.state()
            recorder = Recorder(experience, writer)
            recorder.restore(writer, state)
    for _ in range(100):  # all that is ripe comes out in time
        more: dict[str, Any] = {"number": np.int32(-1), "reward": np.float32(0)}
        recorder({**more, "last": np.asarray(False)})
    written = [int(row["number"]) for row in writer.rows]
    assert written == list(range(len(rows) - 1))  # the last end waits for an episode
    worth = [float(row["reward"]) for row in writer.rows]
    expected = [w for n in lengths for w in (*range(1, n + 1), 0)][:-1]
    assert worth == expected
    assert all(length == 5 for _, length in writer.items)
    assert [at for at, _ in writer.items] == list(range(5, len(rows), 4))


def test_episodes_whose_worth_is_never_known_are_left_out() -> None:
    writer: Any = Writer()
    recorder = Recorder(Experience(items="sequences", length=2, hindsight=True), writer)
    rows = _rows([2, 3, 2])
    for row in rows[3:6]:
        if "hindsight" in row:
            row["hindsight"] = np.zeros(0, np.float32)
    for row in rows:
        recorder(row)
    assert [int(row["number"]) for row in writer.rows] == [0, 1, 2, 6, 7, 8]


def test_hindsight_is_of_sequences() -> None:
    with pytest.raises(ValueError, match="sequences"):
        Experience(items="transitions", hindsight=True)


def test_without_hindsight_it_is_left_out() -> None:
    writer: Any = Writer()
    recorder = Recorder(Experience(items="sequences", length=2), writer)
    for row in _rows([3]):
        recorder(row)
    assert len(writer.rows) == 4 and "hindsight" not in writer.rows[2]
    assert not any(row["reward"] for row in writer.rows)


def test_ranks_are_those_of_flat_weights() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 10.0**k, (50, 3)) for k in range(7)])
    x = np.concatenate([x, np.repeat(LADDER[:, None], 3, 1)]).astype(np.float32)
    mean, scale = (np.full(3, value, "f4") for value in (MEAN, SCALE))
    flat: Any = x
    for layer in (Bucketise((LADDER,) * 3), Standardise(mean, scale), Squares()):
        flat = layer(flat)
    np.testing.assert_allclose(Ranks()(x), flat, atol=1e-5)


def test_evolution_ascends_as_the_paper_says() -> None:
    """Salimans et al., algorithm 1, transcribed: Σ F ε / (n σ), F normalised."""
    model = Evolution(FEATURES, sigma=0.3, hidden=(4,), activation="relu")
    rng = np.random.default_rng(0)
    model({"observation": tf.zeros((1, 3))})
    going = np.ones((4, 5), np.float32)
    going[[0, 1, 3], [1, 3, 0]] = 0  # three episodes end in it
    batch = {
        "observation": rng.normal(size=(4, 5, 3)).astype(np.float32),
        "reward": rng.normal(size=(4, 5)).astype(np.float32),
        "member": rng.integers(0, 1 << 30, (4, 5)).astype(np.int32),
        "going": going,
        "taken": np.ones((4, 5), np.float32),
    }
    with tf.GradientTape() as tape:
        losses, _ = model.losses(
            {n: tf.constant(v) for n, v in batch.items()}, training=True
        )
        total, weight = losses["all"]
    kernel = model.policy.kernels[0]
    found = tape.gradient(total, kernel.value) / weight
    rows = [(0, 1), (1, 3), (3, 0)]
    fitness = np.array([batch["reward"][row] for row in rows])
    fitness = (fitness - fitness.mean()) / (fitness.std() + 1e-6)
    members = tf.constant([batch["member"][row] for row in rows])
    moves = np.array(next(iter(model._moved(members)))[2][0])  # ε [3, in, out]
    expected = -np.einsum("n,nij->ij", fitness, moves) / (3 * 0.3)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert abs(moves.std() - 1) < 0.5 and len(np.unique(moves)) == moves.size


def test_an_evolving_policy_is_moved_as_its_seed_says() -> None:
    model = Evolution(FEATURES, sigma=0.5, hidden=(4,), activation="relu")
    seen = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    output, _ = model({"observation": seen})
    best = np.argmax(output, axis=-1)

    def act(member: Any, explore: float) -> np.ndarray:
        state = tf.constant(member, tf.int32)
        acted, kept, _ = model.act(
            {"observation": seen}, state, seed=1, explore=explore
        )
        assert (np.array(member) < 0).any() or (kept.numpy() == member).all()
        return acted.numpy()

    np.testing.assert_array_equal(act([5] * 64, 0.0), best)
    moved = act([5] * 64, 1.0)
    np.testing.assert_array_equal(act([5] * 64, 1.0), moved)
    assert (act([6] * 64, 1.0) != moved).any() or (moved != best).any()
    x = seen
    layers = list(model._moved(tf.constant([5])))
    for n, (kernel, bias, moves) in enumerate(layers):
        x = x @ (kernel + 0.5 * moves[0][0]) + bias + 0.5 * moves[1][0, 0]
        x = np.maximum(x, 0) if n < len(layers) - 1 else np.array(x)
    np.testing.assert_array_equal(np.argmax(x, axis=-1), moved)


def test_layers_that_are_not_moved_stay() -> None:
    model = Evolution(FEATURES, hidden=(4, 5), moved_layers=1)
    seen = {"observation": tf.ones((2, 3))}
    model(seen)
    moves = [m for _, _, m in model._moved(tf.constant([1, 2]))]
    assert moves[0] == moves[1] == (0.0, 0.0) and moves[2][0].shape == (2, 5, 2)
    rows = {"going": [[0.0, 0.0]], "taken": [[1.0, 1.0]], "member": [[3, 4]]}
    batch = {n: tf.constant(np.array(v)) for n, v in rows.items()}
    batch["going"], batch["taken"] = (
        tf.cast(batch[n], "float32") for n in ("going", "taken")
    )
    batch["member"] = tf.cast(batch["member"], "int32")
    batch |= {"reward": tf.constant([[1.0, 2.0]]), "observation": tf.ones((1, 2, 3))}
    with tf.GradientTape() as tape:
        total = model.losses(batch, training=True)[0]["all"][0]
    found = tape.gradient(total, [k.value for k in model.policy.kernels])
    assert found[0] is None and found[1] is None and found[2] is not None


def test_cloning_is_cross_entropy() -> None:
    model = Cloning(FEATURES, hidden=(4,), smoothing=0.2)
    rng = np.random.default_rng(0)
    batch = {
        "observation": rng.normal(size=(2, 4, 3)).astype(np.float32),
        "default": rng.integers(0, 2, (2, 4)).astype(np.int32),
        "action": np.zeros((2, 4), np.int32),
        "taken": np.array([[1, 1, 0, 1], [1, 1, 1, 1]], np.float32),
    }
    losses, _ = model.losses(
        {n: tf.constant(v) for n, v in batch.items()}, training=True
    )
    rows = batch["observation"][:, :-1].reshape(-1, 3)
    logits = np.array(model({"observation": rows})[0])
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    taught = batch["default"][:, :-1].ravel()
    each = -0.8 * logs[np.arange(6), taught] - 0.2 * logs[np.arange(6), 1 - taught]
    mask = batch["taken"][:, :-1].ravel()
    np.testing.assert_allclose(losses["all"][0], (each * mask).sum(), rtol=1e-5)

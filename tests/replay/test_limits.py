"""scripts/replay_limits: its simulation against queues that have a formula, its costs
where they are exact, and what it says to mistakes."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

from replay_costs import Cost, _fit, table_of  # noqa: E402
from replay_simulation import Spend, World, simulate  # noqa: E402

SPEND = Spend(1e-3, 0.0, 0.0)
FREE = Spend(0.0, 0.0, 0.0)
BARE = World(5_000, 1, SPEND, SPEND, 0.0, think=10.0, rate=float("inf"), round_trip=0.0)


def test_many_clients_of_one_shard_wait_as_in_a_queue_with_poisson_arrivals():
    """M/D/1: a wait of rho D / (2 (1 - rho)) before the service D."""
    found = simulate(BARE, requests=60_000)
    assert found.rate == pytest.approx(500, rel=0.03)
    assert found.used == pytest.approx(0.5, rel=0.03)
    wait = found.rate * 1e-6 / (2 * (1 - found.used))
    assert found.latencies.mean() == pytest.approx(1e-3 + wait, rel=0.05)


def test_a_shard_that_is_full_does_one_after_another():
    world = dataclasses.replace(BARE, think=0.5)
    found = simulate(world, requests=40_000)
    assert found.rate == pytest.approx(1_000, rel=1e-6) and found.used > 0.999
    # Little's law, for all clients: those who think and those who wait.
    held = found.rate * (found.latencies.mean() + 0.5)
    assert held == pytest.approx(5_000, rel=0.05)


def test_shards_share_the_work_and_a_network_may_be_the_limit():
    world = dataclasses.replace(BARE, think=0.5, shards=4)
    assert simulate(world, requests=40_000).rate == pytest.approx(4_000, rel=0.02)
    wires = dataclasses.replace(
        BARE, insert=FREE, sample=FREE, width=10_000, rate=1e7, think=0.5
    )
    # Lines in and out work at once: 2 requests bring one item in, and one out.
    assert simulate(wires, requests=40_000).rate == pytest.approx(2 * 955, rel=0.05)


def test_a_sample_of_many_items_asks_all_shards():
    world = dataclasses.replace(BARE, clients=2, think=1e-3, items=64, insert=FREE)
    one = simulate(world, requests=4_000)
    four = simulate(dataclasses.replace(world, shards=4), requests=4_000)
    # As many messages, each on a shard of its own: it takes no longer.
    assert np.quantile(four.latencies, 0.75) == pytest.approx(1e-3, rel=0.5)
    assert np.quantile(one.latencies, 0.75) == pytest.approx(1e-3, rel=0.5)


def test_the_same_seed_gives_the_same_run():
    runs = [simulate(BARE, requests=5_000, seed=seed).latencies for seed in (1, 1, 2)]
    assert (runs[0] == runs[1]).all() and (runs[0] != runs[2]).any()


def test_costs_are_fitted_and_none_is_negative():
    cases = [(n, n * w) for n in (1, 8, 64) for w in (100, 1_000, 20_000)]
    rows = [([1.0, n, b], 5e-5 + 2e-6 * n + 1e-9 * b) for n, b in cases]
    assert _fit(rows) == pytest.approx(Cost(5e-5, 2e-6, 1e-9), rel=1e-6)
    free = [([1.0, n, b], 5e-5 - 1e-7 * n + 1e-9 * b) for n, b in cases]
    assert min(_fit(free)) == 0.0
    assert table_of("min_heap", "fifo", 100).size == 100


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--rows=memry", "there is no row 'memry'"),
        ("--shards=0", "are at least 1"),
        ("--live=90000", "--live: 8000 at most, not 90000"),
        ("--think=0", "are above 0"),
        ("--sizes=many", "invalid"),
    ],
)
def test_mistakes(flag: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPTS / "replay_limits", flag],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2 and said in done.stderr
    assert "Traceback" not in done.stderr

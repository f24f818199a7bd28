"""The host: good compilers, bad ones, and nobody left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from t2t.bridge.episodes import Episode, Failure, Job, Questions
from t2t.bridge.host import Host
from t2t.bridge.wards import WardenGone

FAKE = Path(__file__).with_name("fake_compiler.py")
ROOT = Path(__file__).resolve().parents[2]

# What becomes of a compiler, by how it misbehaves.
FAULTS = {
    "half header": "in the middle of a message",
    "mid tensor": "in the middle of a message",
    "mid tensor, killed": "died of SIGKILL",
    "second header": "a second header",
    "impatient": "the last answer was not read|before it was answered",
    "asks twice": "before the last one was answered",
    "wrong number": "expected 3",
    "garbage": "the compiler: ",
    "no channel": "exit status 1",
    "status": "exit status 3",
    "segfault": "died of SIGSEGV",
    "flood": "before the last one was answered",
    "long line": "a line of more than",
    "hang": "deadline",
    "hang in question": "deadline",
    "hang after all": "deadline",
    "endless": "deadline",
}
HANGS = [mode for mode, reason in FAULTS.items() if reason == "deadline"]


def fake(mode: str, count: int = 3, *, deadline: float = 20.0, cpu: int = 20) -> Job:
    words = (sys.executable, "-I", "-S", str(FAKE), "{base}", mode, str(count))
    return Job(words, deadline=deadline, cpu=cpu, tag=mode)


def add(questions: Questions) -> np.ndarray:
    return questions.observations["a"] + questions.observations["b"]


@pytest.fixture
def host() -> Iterator[Host]:
    with Host(add, parallel=4) as made:
        yield made
        assert not children(made), "a compiler outlived its job"


def warden(host: Host) -> psutil.Process:
    return psutil.Process(host._wards._process.pid)


def children(host: Host) -> list[psutil.Process]:
    return warden(host).children(recursive=True)


def until(what: str, true: object, *, seconds: float = 10.0) -> None:
    assert callable(true)
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def gone(processes: list[psutil.Process]) -> bool:
    return not any(
        p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes
    )


def test_good_compilers_become_whole_trajectories(host: Host):
    modes = ["good", "one byte", "grandchild", "no question", "exit", "half open"]
    found: dict[str, Episode] = {}
    for episode in host.run(map(fake, modes)):
        assert isinstance(episode, Episode), episode
        found[episode.job.tag] = episode
    assert len(found) == len(modes)
    for mode, episode in found.items():
        assert episode.status == 0 and episode.wall > 0
        assert episode.decisions == (0 if mode in modes[3:] else 3)
    (one,) = found["one byte"].trajectories
    assert one.observations.dtype.names == ("a", "b")
    np.testing.assert_array_equal(
        one.advice, one.observations["a"] + one.observations["b"]
    )
    assert one.advice.shape == (3, 1) and one.contexts == [(0, "f")]
    assert len(found["no question"].trajectories) == 1
    assert found["exit"].trajectories == []


@pytest.mark.parametrize("parallel", [1, 5])
def test_every_fault_has_its_reason_and_leaves_nothing(parallel: int):
    with Host(add, parallel=parallel, most_kept=1 << 20) as host:
        begun = time.monotonic()
        jobs = [fake(mode, deadline=0.4 if mode in HANGS else 20.0) for mode in FAULTS]
        for result in host.run(jobs):
            assert isinstance(result, Failure), result
            assert re_search(FAULTS[result.job.tag], result.reason), result
        assert time.monotonic() - begun < 15
        assert not children(host)
        assert os.listdir(host._wards.folder) == []


def re_search(pattern: str, text: str) -> bool:
    return any(part in text for part in pattern.split("|"))


def test_deadlines_are_kept_to_the_second(host: Host):
    jobs = [fake(mode, deadline=0.3) for mode in HANGS * 3]
    for result in host.run(jobs):
        assert isinstance(result, Failure)
        assert 0.3 <= result.wall < 1.3


def test_a_compiler_that_spins_ends_by_its_limit_of_cpu_time(host: Host):
    (result,) = host.run([fake("spin", cpu=1)])
    assert isinstance(result, Failure) and "1 s of CPU time" in result.reason
    assert 0.5 < result.cpu < 3


def test_many_are_asked_about_at_once():
    sizes = []

    def policy(questions: Questions) -> np.ndarray:
        sizes.append(len(questions.jobs))
        time.sleep(0.01)  # so that others come to wait
        return add(questions)

    with Host(policy, parallel=4) as host:
        results = list(host.run([fake("good", 20) for _ in range(8)]))
    assert all(isinstance(r, Episode) and r.decisions == 20 for r in results)
    assert sum(sizes) == 160 and max(sizes) > 1


def test_what_the_policy_may_not_answer():
    def asked(policy) -> str:
        with Host(policy, parallel=1) as host:
            with pytest.raises(ValueError) as error:
                list(host.run([fake("good"), fake("good")]))
            assert not children(host)
            return str(error.value)

    assert "expected int64[1, 1]" in asked(lambda q: np.zeros((2, 1), np.int64))
    assert "float64[1, 1]" in asked(lambda q: np.zeros((1, 1)))
    assert "no default decision" in asked(lambda q: q.default)


def test_a_consumer_that_has_enough_ends_the_rest(host: Host):
    jobs = [fake("exit"), *(fake("hang") for _ in range(3))]
    for result in host.run(jobs):
        assert result.job.tag == "exit"
        break
    begun = time.monotonic()
    (result,) = host.run([fake("good")])
    assert isinstance(result, Episode) and time.monotonic() - begun < 5


def test_what_cannot_be_started_is_a_failure(host: Host):
    (result,) = host.run([Job(("/nowhere/clang", "{base}"))])
    assert isinstance(result, Failure) and "cannot be started" in result.reason
    (result,) = host.run([Job((sys.executable, "-c", "print('no such flag'); 1 / 0"))])
    assert isinstance(result, Failure)
    assert "no such flag" in result.log and "ZeroDivisionError" in result.log


def test_no_shell_sees_the_words(host: Host, tmp_path: Path):
    hostile = f"x; touch {tmp_path / 'made'}; $(touch {tmp_path / 'made'}) {{7}}"
    code = "import sys; sys.exit(sys.argv[1] != sys.argv[2].replace('!', ''))"
    (result,) = host.run([Job((sys.executable, "-c", code, hostile, hostile))])
    assert isinstance(result, Episode) and not (tmp_path / "made").exists()


HOSTING = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from test_host import add, fake, warden
from t2t.bridge.host import Host
host = Host(add, parallel=3)
print(warden(host).pid, flush=True)
jobs = [fake("endless"), fake("hang"), fake("grandchild", 100_000_000)]
for result in host.run(jobs):
    print(result, flush=True)
"""


def hosting() -> tuple[subprocess.Popen, psutil.Process]:
    """A host in a process of its own, with three compilers that never end."""
    code = HOSTING.format(root=str(ROOT), tests=str(FAKE.parent))
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    of = psutil.Process(int(process.stdout.readline()))
    until("three compilers and a grandchild", lambda: len(of.children(True)) == 4)
    return process, of


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_host_that_dies_takes_everything_with_it(number: signal.Signals):
    process, of = hosting()
    everyone = [of, *of.children(recursive=True)]
    folder = Path(of.cmdline()[-1])
    assert folder.exists()
    process.send_signal(number)
    process.wait(60)
    until("all are gone", lambda: gone(everyone), seconds=2)
    until("and their folder", lambda: not folder.exists(), seconds=2)


def test_a_warden_that_dies_takes_the_compilers_with_it():
    if sys.platform != "linux":
        pytest.skip("only Linux ends the children of who is killed")
    with Host(add, parallel=2) as host:
        results = host.run([fake("endless", 1), fake("hang", 1), fake("good", 1)])
        compilers: list[psutil.Process] = []

        def kill(questions: Questions) -> np.ndarray:
            if not compilers:
                until("both have started", lambda: len(children(host)) == 2)
                compilers.extend(children(host))
                warden(host).kill()
            return add(questions)

        host.policy = kill
        with pytest.raises(WardenGone):
            list(results)
        until("all are gone", lambda: gone(compilers), seconds=2)


@pytest.mark.slow
def test_a_thousand_faults():
    """No hang over a second past its deadline, no orphan, nothing wrong kept."""
    rng = np.random.default_rng(0)
    modes = [*FAULTS, "good", "one byte", "grandchild", "no question", "exit"]
    jobs = [
        fake(mode, int(rng.integers(1, 30)), deadline=0.3 if mode in HANGS else 20.0)
        for mode in rng.choice(modes, 1_300).tolist()
    ]
    failed = 0
    with Host(add, parallel=4) as host:
        for result in host.run(jobs):
            mode = result.job.tag
            assert isinstance(result, Failure) == (mode in FAULTS), result
            failed += isinstance(result, Failure)
            if mode in HANGS:
                assert result.wall < 1.3
            if isinstance(result, Episode):
                for one in result.trajectories:
                    expected = one.observations["a"] + one.observations["b"]
                    np.testing.assert_array_equal(one.advice, expected)
        assert not children(host)
    assert failed >= 1_000

"""Every transport, with compilers in processes of their own; and the ring by itself."""

from __future__ import annotations

import select
import struct
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2t.bridge import channels, transports
from t2t.bridge.client import Client
from t2t.bridge.codecs import policy_side
from t2t.bridge.episodes import Episode, Failure, Job, Questions
from t2t.bridge.host import Host
from t2t.bridge.messages import Done, Question
from t2t.bridge.ring import Pair
from t2t.bridge.specs import Header, TensorSpec

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
ASKING = SCRIPTS / "bridge_asking.py"


def total(questions: Questions) -> np.ndarray:
    return questions.observations["x"].sum(axis=1)


def asking(transport: str, codec: str, count: int, size: int, spin: float = 0.0) -> Job:
    words = map(str, (codec, count, size, spin))
    return Job(
        (sys.executable, str(ASKING), "{channel}", *words),
        transport=transport,
        codec=codec,
        deadline=60.0,
    )


@pytest.mark.parametrize("transport", transports.TRANSPORTS)
def test_answers_come_by_every_transport(transport: str):
    sizes = {1: 40, 38: 40, 50_000: 3, 200_000: 2}
    jobs = [asking(transport, "frames", n, size) for size, n in sizes.items()]
    decisions = []
    with Host(total, parallel=2, spin=1e-4 if transport == "shm" else 0.0) as host:
        for result in host.run(jobs):
            assert isinstance(result, Episode), result
            (one,) = result.trajectories
            decisions.append(len(one))
            assert one.contexts == [(0, "all")]
            assert (one.advice[:, 0] == one.observations["x"].sum(axis=1)).all()
            rewards = [struct.unpack("<d", raw)[0] for raw in one.outcomes.values()]
            assert rewards == [n / 2 for n in range(len(one))]
            assert one.header.default == "default"
            assert (one.observations["default"] == -1).all()
    assert sorted(decisions) == sorted(sizes.values())


@given(st.integers(0, 1 << 30))
def test_a_ring_keeps_order_and_loses_nothing(seed: int):
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        pair = Pair.create(Path(folder) / "ring", capacity=64)
        ring = pair.rings[seed % 2]
        sent, got = b"", b""
        for _ in range(30):
            data = rng.bytes(int(rng.integers(0, 100)))
            sent += data[: ring.write(memoryview(data))]
            assert len(sent) - len(got) <= 64
            if rng.random() < 0.5:
                got += ring.read()
        assert sent == got + ring.read() and ring.empty()
        pair.close()


def test_a_ring_between_threads_sleeps_and_wakes(tmp_path: Path):
    """Small enough that both sides have to wait for each other all the time."""
    end = transports.endpoint("shm", tmp_path / "c")
    assert isinstance(end, transports.Shared)
    data = np.random.default_rng(0).bytes(3 << 20)

    def send() -> None:
        channel = channels.connect(end.address)
        for at in range(0, len(data), 70_001):
            channel.send(data[at : at + 70_001])
        channel.close()

    thread = threading.Thread(target=send)
    thread.start()
    got = b""
    poll = select.poll()
    poll.register(end.fileno(), select.POLLIN)
    while len(got) < len(data):
        if end.nap():
            assert poll.poll(5_000), f"asleep with {len(got)} bytes"
        got += end.read()
    thread.join()
    end.close()
    assert got == data and not list(tmp_path.iterdir())


def test_a_writer_asleep_is_woken_by_whichever_read_makes_room(tmp_path: Path):
    """What fills the ring may come between the host's two looks at it."""
    end = transports.endpoint("shm", tmp_path / "c")
    assert isinstance(end, transports.Shared)
    pair, bell = Pair.attach(tmp_path / "c.ring"), (tmp_path / "c.in").open("rb", 0)
    theirs, bells = pair.rings[0], end._bells

    class Late:
        """The compiler fills the ring while the host empties the bell's pipe."""

        def read(self) -> bytes | None:
            assert theirs.write(memoryview(bytes(1 << 20))) == 1 << 20
            theirs.writer_sleeps(True)
            return bells.read()

        outlet = bells.outlet

    end._bells = Late()  # type: ignore[assignment]
    assert len(end.read()) == 1 << 20
    assert bell.read(8) == b"!"
    end._bells = bells
    bell.close()
    pair.close()
    end.close()


def test_a_host_with_answers_to_send_is_woken_when_there_is_room(tmp_path: Path):
    end = transports.endpoint("shm", tmp_path / "c")
    pair = Pair.attach(tmp_path / "c.ring")
    end.write(bytes(5 << 19))
    assert end.unsent == 3 << 19 and end.nap()
    assert pair.rings[1].has_sleeping_writer()
    assert len(pair.rings[1].read()) == 1 << 20  # after it, a nap would never end
    assert not end.nap()
    end.read()
    assert not end.flush() and not pair.rings[1].has_sleeping_writer()
    assert len(pair.rings[1].read()) == 1 << 20 and not end.nap()
    assert end.flush() and end.nap() and not pair.rings[1].has_sleeping_writer()
    pair.close()
    end.close()


def test_a_foreign_ring_is_refused(tmp_path: Path):
    path = tmp_path / "c.ring"
    path.write_bytes(b"not a ring")
    with pytest.raises(ValueError, match="holds no rings"):
        Pair.attach(path)


def test_no_host_means_the_default_and_one_line_about_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for address in (f"fifo:{tmp_path}/x", f"unix:{tmp_path}/x", f"shm:{tmp_path}/x"):
        with Client(address, [TensorSpec("x", "float")], TensorSpec("y", "float")) as c:
            assert c({"x": 1}, default=7) == 7
            assert c({"x": 2}, default=8) == 8
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and "no host at" in lines[0], lines
    with pytest.raises(ValueError, match="no address. Did you mean 'fifo'"):
        channels.connect("fifi:/x")
    with pytest.raises(ValueError, match="no transport 'shn'. Did you mean 'shm'"):
        transports.endpoint("shn", tmp_path / "x")


def test_a_late_answer_is_never_taken_for_the_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    end = transports.endpoint("fifo", tmp_path / "c")
    features, advice = [TensorSpec("x", "int64_t")], TensorSpec("y", "int64_t")
    client = Client(end.address, features, advice, timeout=0.05)
    side = policy_side("frames")
    assert client({"x": 1}, default=5) == 5  # nobody has answered
    assert "no answer in 0.05 s: the default" in capsys.readouterr().err
    messages = [m for _, m in side.feed(end.read() or b"")]
    assert [type(m) for m in messages] == [Header, Question]
    end.write(side.advise(struct.pack("<q", 1)))
    assert client({"x": 2}, default=6) == 6
    client.close()
    rest = [m for _, m in side.feed(end.read() or b"")]
    assert Done() not in rest  # so the host keeps nothing of it
    end.close()


def test_a_compiler_that_gave_up_is_a_failure():
    def slow(questions: Questions) -> np.ndarray:
        time.sleep(0.3)
        return total(questions)

    code = (
        "import sys; sys.argv[0] = ''; sys.path.insert(0, sys.argv[2]);"
        "from t2t.bridge.client import Client;"
        "from t2t.bridge.specs import TensorSpec;"
        "c = Client(sys.argv[1], [TensorSpec('x', 'int64_t', (2,))],"
        " TensorSpec('sum', 'int64_t'), timeout=0.1);"
        "c({'x': [1, 2]}, default=0); c.close()"
    )
    root = str(SCRIPTS.parent)
    for transport in transports.TRANSPORTS:
        words = (sys.executable, "-c", code, "{channel}", root)
        with Host(slow, parallel=1) as host:
            (result,) = host.run([Job(words, transport=transport, codec="frames")])
        assert isinstance(result, Failure), (transport, result)
        assert "without a word" in result.reason and "default from now on" in result.log

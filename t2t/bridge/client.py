"""A compiler that is written in Python asks: what t2t_bridge.h is for C.

    with Client(address, features, advice) as ask:
        ask.context("main")
        answer = ask({"cost": 3, "size": [1, 2]}, default=0)

Without a host, or with one that is late, the answer is the default from then on, and
that is said once on stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from t2t.bridge.channels import Channel, NoHost, connect
from t2t.bridge.codecs import compiler_side
from t2t.bridge.codecs.frames import SCORE
from t2t.bridge.messages import Advice, BadMessage, Refusal
from t2t.bridge.specs import DEFAULT, Header, TensorSpec


class Client:
    """Asks for advice, one question after another.

    Args:
      address: of the host; see `channels.connect`.
      features: of every question; the default is sent as one more.
      advice: what is wanted.
      codec: see `codecs`.
      timeout: seconds that an answer may take.
      spin: see `channels.connect`.
    """

    def __init__(
        self,
        address: str,
        features: Sequence[TensorSpec],
        advice: TensorSpec,
        *,
        codec: str = "frames",
        timeout: float = 10.0,
        spin: float = 0.0,
    ) -> None:
        default = TensorSpec(DEFAULT, advice.type, advice.shape)
        self.header = Header((*features, default), advice)
        self.advice = advice
        self._side = compiler_side(codec, self.header)
        self._row = np.zeros((), self.header.record)
        self._channel: Channel | None = None
        try:
            self._channel = connect(address, timeout=timeout, spin=spin)
            self._channel.send(self._side.header())
        except (NoHost, TimeoutError) as error:
            self._give_up(error)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def context(self, name: str) -> None:
        """What the next questions are about."""
        self._say(self._side.context(name))

    def __call__(self, values: Mapping[str, Any], *, default: Any) -> np.ndarray:
        """The advice, of its shape; the default where there is none.

        Raises:
          KeyError, ValueError: when the values are not the features.
        """
        row = self._row
        for spec in self.header.features[:-1]:
            row[spec.name] = np.reshape(values[spec.name], spec.shape)
        row[DEFAULT] = np.reshape(default, self.advice.shape)
        self._say(self._side.ask(row.tobytes()))
        return self._answer()

    def reward(self, value: float) -> None:
        """What came of the last question."""
        self._say(self._side.reward(np.array(value, SCORE.dtype).tobytes()))

    def close(self) -> None:
        """Says that there are no more questions."""
        self._say(self._side.done())
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _answer(self) -> np.ndarray:
        while self._channel is not None:
            try:
                replies = self._side.feed(self._channel.receive())
            except (NoHost, TimeoutError, BadMessage) as error:
                self._give_up(error)
                break
            for reply in replies:
                if isinstance(reply, Advice):
                    answer = np.frombuffer(reply.raw, self.advice.dtype)
                    return answer.reshape(self.advice.shape)
                assert isinstance(reply, Refusal)
                self._give_up(reply.reason)
        return self._row[DEFAULT].copy()

    def _say(self, data: bytes) -> None:
        if self._channel is not None and data:
            try:
                self._channel.send(data)
            except (NoHost, TimeoutError) as error:
                self._give_up(error)

    def _give_up(self, reason: object) -> None:
        """From now on the default; a late answer must never be taken for the next."""
        print(f"t2t bridge: {reason}: the default from now on", file=sys.stderr)
        if self._channel is not None:
            self._channel.close()
            self._channel = None

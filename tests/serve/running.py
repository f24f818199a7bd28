"""A server of fakes that runs, and clients for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import openai
from fakes import FakeAnswerer

from t2t.decode.answering import Answerer
from t2t.serve.server import Running
from t2t.serve.service import ServeOptions


class Served:
    """A server that runs, and what it answers with."""

    def __init__(self, running: Running, answerer: FakeAnswerer, key: str) -> None:
        self.running, self.answerer, self.key = running, answerer, key

    @property
    def url(self) -> str:
        return self.running.url

    def client(self) -> openai.OpenAI:
        key = self.key or "none"
        return openai.OpenAI(
            base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=60
        )

    def http(self) -> httpx.Client:
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)


def started(
    options: ServeOptions,
    *,
    load: bool = True,
    behind: Callable[[FakeAnswerer], Answerer] = lambda answerer: answerer,
) -> Iterator[Served]:
    """Of fakes, behind something if need be, on a port that is free."""
    running, answerer = Running("toy", options), FakeAnswerer()
    with running.beside():
        if load:
            running.load(behind(answerer))
        try:
            yield Served(running, answerer, options.api_key)
        finally:
            answerer.release.set()

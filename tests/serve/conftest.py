"""A server of fakes on a free port, and one that asks for a key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from running import Served, started

from t2t.media.fetch import Access
from t2t.serve.service import ServeOptions


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """With four places and a small body."""
    access = Access(folder=tmp_path)
    yield from started(
        ServeOptions(port=0, max_sessions=4, body=300_000, access=access, stalled=5.0)
    )


@pytest.fixture
def locked() -> Iterator[Served]:
    """That asks for a key."""
    yield from started(ServeOptions(port=0, api_key="sesame"))

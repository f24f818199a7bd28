"""A newer checkpoint takes the place of an older one, and no request notices.

The new weights are loaded and rehearsed beside those that answer; then new requests go
to them, and those under way are finished by the old, which are let go with the last.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from t2t.decode.answering import Answerer
from t2t.run.checkpoints import CheckpointError, step_of


class Checkpoint:
    """What is served, as its file changes.

    Args:
      find: the file to be served now; raises CheckpointError for none.
      load: an answerer with the weights of a file.
    """

    def __init__(
        self, find: Callable[[], Path], load: Callable[[Path], Answerer]
    ) -> None:
        self.find, self.load = find, load
        self._taken: tuple[Path, int] | None = None

    @property
    def changed(self) -> Path | None:
        """A file that is another than that which was taken, or was written since."""
        try:
            path = self.find()
            found = (path, path.stat().st_mtime_ns)
        except (CheckpointError, OSError):
            return None
        return None if found == self._taken else path

    def take(self) -> tuple[Answerer, int | None]:
        """The answerer and the step of the file to be served now.

        Raises:
          CheckpointError, OSError: when it cannot be read; it is not tried again
            before it changes.
        """
        path = self.find()
        self._taken = (path, path.stat().st_mtime_ns)
        return self.load(path), step_of(path)


class Watch:
    """Looks for a newer checkpoint now and then, in a thread of its own.

    Args:
      take: loads it and says so.
      seconds: between two looks.
    """

    def __init__(
        self, checkpoint: Checkpoint, take: Callable[[], None], *, seconds: float
    ) -> None:
        self.checkpoint, self.take, self.seconds = checkpoint, take, seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(self.seconds):
            if self.checkpoint.changed is not None:
                self.take()

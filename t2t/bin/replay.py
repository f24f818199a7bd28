"""t2t-replay: serve experience, and look at what a server has."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from t2t import registry
from t2t.bin.command import Command, UsageError

MOST_LOOKS = 600  # that a page draws, a second apart
ACTIONS = ("serve", "info", "browse", "checkpoint", "bench")

command = Command(
    "t2t-replay",
    "the experience replay service",
    [
        "t2t-replay serve --config=tables.gin --listen=/tmp/replay.sock",
        "t2t-replay info ADDRESS [--watch]",
        "t2t-replay browse ADDRESS TABLE [--order=highest] [--pictures=FOLDER]",
    ],
)
command.string("config", None, "serve: the tables, in gin; see README")
command.many("listen", "serve: a socket's path or HOST:PORT; more than once for more")
command.boolean("shared", False, "serve: clients of this host use the tables' memory")
command.string("secret_file", None, "a file with the secret that TCP clients know")
command.string("checkpoint_dir", None, "serve: where checkpoints go")
command.number("checkpoint_seconds", 0.0, "serve: write one so often; 0 never")
command.boolean("restore", False, "serve: begin with the newest checkpoint")
command.integer("seed", 0, "serve: of the random selectors")
command.number("linger_seconds", 600.0, "serve: so long a lost writer may come back")
command.boolean("watch", False, "info: again every second, until Ctrl-C")
command.boolean("json", False, "info: as JSON")
command.string("html", None, "info: also as a page that reloads itself")
command.string("order", "newest", "browse: newest, oldest, highest or lowest priority")
command.integer("items", 3, "browse: how many")
command.string("pictures", None, "browse: folder for pictures of image columns")


def main() -> None:
    command.run(_main)


def _main(values: Any, words: list[str]) -> int | None:
    if not words:
        raise UsageError(f"say what to do: {', '.join(ACTIONS)}. {command.examples[0]}")
    action, *rest = words
    if action not in ACTIONS:
        raise UsageError(
            f"there is no action {action!r}.{registry.close_to(action, ACTIONS)} "
            f"Actions: {', '.join(ACTIONS)}"
        )
    flags = {name: values[name].value for name in values}
    wanted = {"serve": 0, "bench": 0, "info": 1, "checkpoint": 1, "browse": 2}[action]
    if len(rest) != wanted:
        names = " ".join(("ADDRESS", "TABLE")[:wanted]) or "no words"
        raise UsageError(f"{action} takes {names}, not {' '.join(rest) or 'none'}")
    actions = {
        "serve": _serve,
        "info": _info,
        "browse": _browse,
        "checkpoint": _checkpoint,
        "bench": _bench,
    }
    return actions[action](flags, *rest)


def _serve(flags: dict[str, Any]) -> None:
    from t2t.bin.replay_config import stores
    from t2t.replay.checkpoint import Archive
    from t2t.replay.client import parse
    from t2t.replay.server import Server
    from t2t.replay.service import Service

    if not flags["config"]:
        raise UsageError("serve needs --config=tables.gin: which tables there are")
    if not flags["listen"]:
        raise UsageError("serve needs --listen: a socket's path or HOST:PORT")
    if (flags["restore"] or flags["checkpoint_seconds"]) and not (
        flags["checkpoint_dir"]
    ):
        raise UsageError("give --checkpoint_dir: where the checkpoints are")
    places = [parse(address) for address in flags["listen"]]
    unix = [place for place in places if isinstance(place, str)]
    tcp = [place for place in places if not isinstance(place, str)]
    if len(unix) > 1 or len(tcp) > 1:
        raise UsageError("--listen: one socket's path and one HOST:PORT at most")
    configs = stores(flags["config"])
    memory = _memory(flags) if flags["shared"] else None
    if memory is not None:
        configs = [dataclasses.replace(c, folder=memory, shared=True) for c in configs]
    service = Service(configs, seed=flags["seed"], linger=flags["linger_seconds"])
    archive = Archive(flags["checkpoint_dir"]) if flags["checkpoint_dir"] else None
    if flags["restore"]:
        assert archive is not None
        print(f"restored checkpoint {archive.restore(service)}", file=sys.stderr)
    server = Server(
        service,
        unix=unix[0] if unix else None,
        tcp=tcp[0] if tcp else None,
        secret=_secret(flags),
        archive=archive,
    ).start()
    addresses = [*unix, *(f"{host}:{server.port}" for host, _ in tcp)]
    print(
        f"serving {', '.join(service.names)} at {' and '.join(addresses)}",
        file=sys.stderr,
        flush=True,
    )
    try:
        _until_stopped(server, flags["checkpoint_seconds"])
    finally:
        if memory is not None:
            shutil.rmtree(memory, ignore_errors=True)


def _memory(flags: dict[str, Any]) -> Path:
    """An empty folder in memory, of the same name for the same address: what a
    server that was killed left there goes."""
    name = hashlib.sha256(" ".join(flags["listen"]).encode()).hexdigest()[:16]
    memory = Path("/dev/shm")
    root = memory if memory.is_dir() else Path(tempfile.gettempdir())
    folder = root / f"t2t-replay-{os.getuid()}-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder


def _until_stopped(server: Any, period: float) -> None:
    """Waits for SIGTERM or Ctrl-C; writes checkpoints meanwhile and at the end."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    while not stopped.wait(period or None):
        _checkpointed(server)
    if server.archive is not None:
        _checkpointed(server)
    server.stop()


def _checkpointed(server: Any) -> None:
    done: list[Any] = []
    ready = threading.Event()

    def finish(result: Any) -> None:
        done.append(result)
        ready.set()

    server.call(lambda: server.checkpoint(finish))
    ready.wait()
    if isinstance(done[0], Exception):
        print(f"t2t-replay: no checkpoint: {done[0]}", file=sys.stderr, flush=True)


def _info(flags: dict[str, Any], address: str) -> None:
    from t2t.bin.replay_show import dashboard, page

    client, looks = _client(flags, address), []
    while True:
        looks.append({**client.info(detail=True), "time": client.clock()})
        shown = dashboard(address, *looks[-2:][::-1])
        if flags["html"]:
            page(address, shown, looks, Path(flags["html"]))
        if flags["json"]:
            print(json.dumps(looks[-1]))
        else:
            clear = "\x1b[2J\x1b[H" if flags["watch"] and sys.stdout.isatty() else ""
            print(clear + shown, flush=True)
        if not flags["watch"]:
            return
        del looks[:-MOST_LOOKS]
        time.sleep(1.0)


def _browse(flags: dict[str, Any], address: str, table: str) -> None:
    from t2t.bin.replay_show import describe, pictures

    found = _client(flags, address).look(table, flags["items"], order=flags["order"])
    if not len(found.keys):
        print(f"table {table} is empty")
        return
    print(describe(found))
    if flags["pictures"]:
        for path in pictures(found, Path(flags["pictures"])):
            print(path)


def _checkpoint(flags: dict[str, Any], address: str) -> None:
    print(f"checkpoint {_client(flags, address).checkpoint()}")


def _bench(flags: dict[str, Any]) -> None:
    from t2t.replay.bench import table

    print(table())


def _client(flags: dict[str, Any], address: str) -> Any:
    from t2t.replay.client import Client

    return Client(address, secret=_secret(flags))


def _secret(flags: dict[str, Any]) -> str:
    path = flags["secret_file"]
    if not path:
        return ""
    if not Path(path).is_file():
        raise UsageError(f"--secret_file: there is no file {path!r}")
    return Path(path).read_text(encoding="utf-8").strip()


if __name__ == "__main__":
    main()

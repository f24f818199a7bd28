"""t2t-serve: a trained run behind HTTP and WebSockets, in OpenAI's forms."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from t2t.bin.command import Command, UsageError, load_tensorflow

HINT = (
    "t2t-serve needs fastapi, prometheus-client, uvicorn and websockets: "
    "pip install -e '.[serve]'"
)

command = Command(
    "t2t-serve",
    "answer OpenAI's clients, and a page to talk to, with a trained run",
    [
        "t2t-serve --output_dir=RUN",
        "t2t-serve --output_dir=RUN --host=0.0.0.0 --api_key_file=KEY",
        "t2t-serve --output_dir=RUN --moderation_terms=TERMS --sign_key_file=SIGN",
    ],
)
command.string("output_dir", None, "the run folder: of an omni, or of any text model")
command.string("checkpoint_path", None, "the best or newest one by default")
command.string(
    "host", "127.0.0.1", "to bind to; by default none but this machine may ask"
)
command.integer("port", 8000, "0 for a free one")
command.string("api_key_file", None, "a file with the key that clients must show")
command.integer("max_sessions", 16, "requests that wait at once, and voices connected")
command.string(
    "decode_hparams", "", "of texts, where a request asks for nothing: beam_size=4,…"
)
command.integer("rows", 8, "texts that are decoded together")
command.number("reload", 10.0, "seconds between looks for a newer checkpoint; 0: none")
command.string("allow_files", None, "read media that requests name below this folder")
command.boolean("allow_http", False, "read media that requests name on the web")
command.string("moderation_terms", None, "a file of terms that are not talked about")
command.string("moderate", "input,output", "which of it, where terms are given")
command.string(
    "voice_guard", None, "a folder with voice_guard.npz: no other voice is heard"
)
command.string("sign_key_file", None, "signs PNG and WAV; made where there is none")
command.string("watermark_file", None, "a secret, drawn into sound and pictures")


def main() -> None:
    command.run(_main)


def _main(values: Any, words: list[str]) -> int:
    if words:
        raise UsageError(f"what is {words[0]!r}? Flags begin with --")
    flags = {name: values[name].value for name in values}
    key = _check(flags)
    from t2t import registry
    from t2t.run import checkpoints
    from t2t.run.folder import open_run

    folder, config = open_run(flags["output_dir"])
    if registry.current().load("problem", config.knob("problem")).interactive:
        raise UsageError(
            f"{flags['output_dir']} holds a model that acts: t2t-decoder plays with it"
        )
    checkpoints.resolve(flags["checkpoint_path"] or folder.path)
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
        import websockets  # noqa: F401
    except ImportError:
        raise ImportError(HINT) from None
    load_tensorflow()
    return _serve(flags, key=key)


def _check(flags: dict[str, Any]) -> str:
    """The API key, '' for none; mistakes in flags before anything is loaded."""
    if not flags["output_dir"]:
        raise UsageError("no --output_dir: say which run to serve")
    if not 0 <= flags["port"] < 65536:
        raise UsageError(f"--port={flags['port']}: 0 to 65535 is expected")
    if flags["max_sessions"] < 1:
        raise UsageError(f"--max_sessions={flags['max_sessions']}: at least 1")
    if flags["rows"] < 1 or flags["reload"] < 0:
        raise UsageError("--rows is at least 1, --reload not negative")
    if flags["allow_files"] and not Path(flags["allow_files"]).is_dir():
        raise UsageError(f"--allow_files: there is no folder {flags['allow_files']!r}")
    unknown = set(_moderated(flags)) - {"input", "output"}
    if unknown:
        raise UsageError(f"--moderate={flags['moderate']}: input, output or both")
    if flags["moderation_terms"]:
        Path(flags["moderation_terms"]).stat()
    _word(flags, "watermark_file")
    return _word(flags, "api_key_file")


def _moderated(flags: dict[str, Any]) -> list[str]:
    return [word.strip() for word in flags["moderate"].split(",") if word.strip()]


def _word(flags: dict[str, Any], name: str) -> str:
    """The word that is in a flag's file; '' without the flag."""
    if not flags[name]:
        return ""
    word = Path(flags[name]).read_text(encoding="utf-8").strip()
    if not word or not word.isascii() or len(word.split()) != 1:
        raise UsageError(f"--{name}={flags[name]}: one word of ASCII is expected")
    return word


def _mitigations(flags: dict[str, Any], *, run: str, say: Any) -> Any:
    """The stages that flags ask for.

    Raises:
      ValueError: for files that are not what they should be.
    """
    from t2t.decode.guard import FrozenGuard, Listener
    from t2t.decode.mitigations import Event, Mitigations, Terms
    from t2t.decode.watermark import STRENGTH
    from t2t.media.provenance import Signer
    from t2t.problems.omni.sentences import REFUSALS

    terms, listener = flags["moderation_terms"], None
    found = Terms.from_file(terms) if terms else None
    if flags["voice_guard"]:
        frozen = FrozenGuard()
        frozen.load(Path(flags["voice_guard"]))
        listener = Listener(frozen.model)
    key, secret = flags["sign_key_file"], _word(flags, "watermark_file")

    def log(event: Event) -> None:
        if event.action != "passed":
            say(str(event))

    return Mitigations(
        asked=found if "input" in _moderated(flags) else None,
        written=found if "output" in _moderated(flags) else None,
        refusals=REFUSALS,
        listener=listener,
        signer=Signer.from_file(key) if key else None,
        claims={"made by": "t2t", "model": run},
        watermark=STRENGTH if secret else 0.0,
        watermark_secret=secret,
        log=log,
    )


def _serve(flags: dict[str, Any], *, key: str) -> int:
    import t2t
    from t2t.decode import options as decoding
    from t2t.decode.answering import answerer
    from t2t.decode.screening import Screened
    from t2t.media.fetch import Access
    from t2t.run import checkpoints
    from t2t.serve.reloading import Checkpoint
    from t2t.serve.server import serve
    from t2t.serve.service import ServeOptions, name_of

    def say(line: str) -> None:
        print(f"t2t-serve: {line}", file=sys.stderr, flush=True)

    name = name_of(flags["output_dir"])
    try:
        mitigations = _mitigations(flags, run=name, say=say)
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from None

    how = decoding.parse(flags["decode_hparams"])

    def load(path: Path) -> Screened:
        run = t2t.load(flags["output_dir"], checkpoint_path=path)
        return Screened(answerer(run, options=how, rows=flags["rows"]), mitigations)

    def find() -> Path:
        return checkpoints.resolve(flags["checkpoint_path"] or flags["output_dir"])

    options = ServeOptions(
        host=flags["host"],
        port=flags["port"],
        api_key=key,
        max_sessions=flags["max_sessions"],
        access=Access(folder=flags["allow_files"], http=flags["allow_http"]),
        seal=mitigations.seal,
    )
    if not key and flags["host"] not in ("127.0.0.1", "::1", "localhost"):
        say("other machines may ask without a key: --api_key_file=FILE asks for one")
    return serve(
        name, Checkpoint(find, load), options=options, say=say, reload=flags["reload"]
    )


if __name__ == "__main__":
    main()

"""t2t-decoder with an omni run: requests line for line, and talking."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import media_toys
import numpy as np
import pytest
import toy_omni
from commands import Answer, call, contents

from t2t.bin import converse
from t2t.bin.command import UsageError
from t2t.media import audio, pictures
from t2t.media.limits import MediaError
from t2t.media.messages import Picture, Sound, Text


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_omni.omni_run(tmp_path_factory.mktemp("omni") / "run")


@pytest.fixture
def media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files, which is the current one."""
    pictures.write_png(tmp_path / "digit.png", media_toys.picture())
    audio.write_wav(tmp_path / "two words.wav", media_toys.tone(), rate=16_000)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _request(*parts: Any, **fields: Any) -> str:
    return json.dumps({"messages": [{"role": "user", "content": list(parts)}]} | fields)


def test_line_n_of_the_output_answers_line_n(run: Path, media: Path) -> None:
    inner = media / "requests"
    inner.mkdir()
    (media / "digit.png").rename(inner / "digit.png")
    say = {"type": "text", "text": "say seven"}
    seen = {"type": "image_url", "image_url": {"url": "digit.png"}}
    out = {"type": "image_url", "image_url": {"url": "../two words.wav"}}
    lines = [
        _request(say, modalities=["text", "audio"]),
        "{",
        _request(seen, say),
        "",
        _request(out),
        _request(say, modalities=["image"]),
        _request(say, stream=True),
    ]
    (inner / "in.jsonl").write_text("\n".join(lines))
    answer = call(
        f"t2t-decoder --output_dir={run} --decode_from_file={inner}/in.jsonl "
        f"--decode_to_file={media}/out.jsonl"
    )
    assert answer.status == 2
    assert len(answer.err.splitlines()) == 1
    assert "3 of 6 requests are refused; the first is line 2: JSON" in answer.err
    found = (media / "out.jsonl").read_text().split("\n")
    assert found.pop() == "" and len(found) == len(lines) and found[3] == ""
    spoken, bad, looked, _, outside, drawn, streamed = (
        json.loads(line or "{}") for line in found
    )
    heard = spoken["choices"][0]["message"]["audio"]["data"]
    assert base64.b64decode(heard)[:4] == b"RIFF"
    assert bad["error"]["code"] == "bad_json"
    assert looked["usage"]["prompt_tokens_details"]["image_tokens"] > 0
    assert "is refused" in outside["error"]["message"]
    assert drawn["choices"][0]["message"]["content"][0]["type"] == "image_url"
    assert streamed["error"]["param"] == "stream"
    good = call(f"t2t-decoder --output_dir={run}", stdin=lines[5].encode())
    assert good.status == 0, good.err
    assert json.loads(good.out)["choices"] == drawn["choices"]


def _talk(run: Path, *lines: str, more: str = "") -> Answer:
    typed = "".join(f"{line}\n" for line in lines).encode()
    line = f"t2t-decoder --output_dir={run} --decode_interactive {more}"
    return call(line, stdin=typed)


def test_talking_writes_what_is_heard_and_seen_beside(run: Path, media: Path) -> None:
    answer = _talk(
        run,
        "look at @digit.png and tell me the number, aloud",
        "draw seven",
        "what is @nothing.png",
        "say seven /sing",
        'write down @"two words.wav"',
    )
    assert answer.status == 0, answer.err
    assert [p.name for p in sorted(media.glob("answer-*"))] == [
        "answer-1.wav", "answer-2.png",
    ]  # fmt: skip
    shown = answer.out.splitlines()
    assert shown[1:3] == ["answer-1.wav", "answer-2.png"]
    assert len(shown) == 4
    missing, unknown = answer.err.splitlines()
    assert "'nothing.png' cannot be opened" in missing
    assert "/sing is none of /speak" in unknown
    (media / "there").mkdir()
    more = f"--decode_to_file={media}/there/x --decode_hparams=temperature=1,seed=3"
    elsewhere = _talk(run, "seven /speak:bass", more=more)
    assert elsewhere.status == 0, elsewhere.err
    assert (media / "there" / "answer-1.wav").is_file()


def test_a_line_is_understood(media: Path) -> None:
    def understood(line: str) -> tuple[list[str], tuple[str, ...], str]:
        asked = converse.understand(line, side=24)
        (message,) = asked["messages"]
        kinds = {Picture: "▦", Sound: "♪"}
        parts = [
            p.text if isinstance(p, Text) else kinds[type(p)] for p in message.parts
        ]
        return parts, asked["modalities"], asked["voice"]

    assert understood("look at @digit.png and tell me, aloud") == (
        ["look at", "▦", "and tell me"], ("text", "audio"), "alto",
    )  # fmt: skip
    assert understood("read this aloud @digit.png.") == (
        ["read this aloud", "▦", "."], ("text", "audio"), "alto",
    )  # fmt: skip
    assert understood('@"two words.wav" /draw')[:2] == (["♪"], ("image",))
    assert understood("draw six /speak:bass")[1:] == (
        ("text", "audio", "image"), "bass",
    )  # fmt: skip
    assert understood("1/2 and 3") == (["1/2 and 3"], ("text",), "alto")
    with pytest.raises(UsageError, match="/speak:tuba is none of"):
        understood("x /speak:tuba")
    Path("text.png").write_text("no picture")
    with pytest.raises(MediaError, match="png, jpeg, webp"):
        understood("@text.png")


def test_a_film_and_its_sound_are_two_parts(media: Path) -> None:
    from t2t.media import video

    frames = media_toys.film(6)
    tone = media_toys.tone(1.0)
    video.write_video("film.mp4", frames, fps=5.0, samples=tone, rate=16_000)
    film, sound = converse.media_parts(Path("film.mp4"), side=24)
    assert film.frames.shape[1:] == (24, 24, 3)
    assert np.abs(sound.samples).max() > 0.3


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--split=dev", "--split is not for"),
        ("--video=x.gif", "--video is not for"),
        ("--decode_hparams=beam_size=2 --decode_from_file={file}", "says itself"),
        ("--decode_hparams=temprature=1 --decode_interactive", "'temperature'"),
        ("--decode_hparams=seed=1.5 --decode_interactive", "seed is no int"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(
    run: Path, media: Path, flags: str, words: str
) -> None:
    (media / "in.jsonl").write_text("{}\n")
    before = contents(media)
    answer = call(
        f"t2t-decoder --output_dir={run} {flags.format(file=media / 'in.jsonl')}"
    )
    assert answer.status == 2 and words in answer.err, answer.err
    assert len(answer.lines) == 1
    assert contents(media) == before

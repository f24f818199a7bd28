"""The page at / in Chromium, whose microphone hears a WAV."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import media_toys
import numpy as np
import pytest
import toy_omni
from browser import NAMES, Page, browsing, chromium
from running import Served, started

import t2t
from t2t.decode.answering import answerer
from t2t.media import audio, pictures
from t2t.media.layout import VOICES
from t2t.serve.server import Running
from t2t.serve.service import ServeOptions

pytestmark = pytest.mark.skipif(
    chromium() is None, reason=f"no Chromium on the PATH: {', '.join(NAMES)}"
)
RATE = 16_000
STATE = "document.getElementById('state')?.textContent"


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of noise, and as much silence as ends a turn, over and over."""
    noise = 0.2 * np.random.default_rng(0).normal(size=RATE)
    whole = np.concatenate([np.zeros(RATE // 2), noise, np.zeros(RATE)])
    path = tmp_path_factory.mktemp("heard") / "microphone.wav"
    path.write_bytes(audio.encode_wav(whole.astype(np.float32), RATE))
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "seen.png"
    path.write_bytes(pictures.encode_png(media_toys.picture()))
    return path


def told(page: Page, count: int, words: str) -> None:
    """Waits for so many errors, and for words in one of them."""
    page.until(f"document.querySelectorAll('main p.error').length == {count}")
    assert words in page.text()


def answered(page: Page, before: int) -> str:
    """The text of the answer after so many, when it is whole and can be played."""
    path = "document.querySelectorAll('main p.assistant')"
    page.until(f"{path}[{before}]?.querySelector('audio')?.duration > 0")
    return page.value(f"{path}[{before}].textContent")


def first_sound(page: Page) -> int:
    """Milliseconds, as they are shown; they are not shown any more."""
    path = "document.getElementById('first')"
    text = page.until(f"{path}.textContent")
    page.value(f"{path}.textContent = ''")
    found = re.fullmatch(r"first sound after (\d+) ms", text)
    assert found is not None, text
    return int(found[1])


# -- with an omni --------------------------------------------------------------------


@pytest.fixture(scope="module")
def omni(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    run = toy_omni.omni_run(tmp_path_factory.mktemp("runs") / "omni")
    running = Running("omni", ServeOptions(port=0))
    with running.beside():
        running.load(answerer(t2t.load(run)))
        yield running.url


@pytest.mark.slow
def test_a_person_writes_shows_and_talks(
    omni: str, microphone: Path, picture: Path, tmp_path: Path
) -> None:
    with browsing(omni, microphone=microphone, profile=tmp_path / "profile") as page:
        page.until(f"{STATE} == 'connected'")
        assert "Hold the button and talk, or write" in page.text()
        assert page.value("document.title") == "omni"

        page.write("#words", "say seven")
        assert answered(page, 0)
        assert 0 < first_sound(page) < 60_000
        assert "Hold the button" not in page.text()

        page.drop("#talk", picture)
        page.until("document.getElementById('name').textContent == 'seen.png'")
        page.write("#words", "what is this")
        page.until("document.querySelector('main p.user img')?.naturalWidth > 0")
        assert answered(page, 1) and first_sound(page) > 0

        pieces = len(page.value("played"))
        page.press("#hold")
        page.until("document.getElementById('hold').textContent == 'listening'")
        time.sleep(2.0)
        page.release("#hold")
        seconds = page.until(
            r"[...document.querySelectorAll('main p.user')].at(-1)"
            r".textContent.match(/♪ ([\d.]+) s/)?.[1]"
        )
        assert 1.0 < float(seconds) < 10.0
        assert answered(page, 2) and first_sound(page) > 0
        heard = page.value("played")[pieces:]
        assert len(heard) > 3 and max(heard) > 0

        page.click("#free")
        page.until("document.querySelectorAll('main p.assistant').length > 3")
        assert first_sound(page) > 0
        page.click("#free")
        assert page.errors == []


@pytest.mark.slow
def test_a_person_asks_for_a_drawing(
    omni: str, microphone: Path, tmp_path: Path
) -> None:
    with browsing(omni, microphone=microphone, profile=tmp_path / "profile") as page:
        page.until(f"{STATE} == 'connected'")
        page.choose("#answer", "image")
        assert page.value("document.getElementById('hold').disabled")
        page.write("#words", "draw seven in red")
        page.until("document.querySelector('main p.assistant img')?.naturalWidth > 0")
        assert page.errors == []


# -- what goes wrong -----------------------------------------------------------------


def test_what_goes_wrong_is_told(
    served: Served, microphone: Path, picture: Path, tmp_path: Path
) -> None:
    profile = tmp_path / "profile"
    with browsing(served.url, microphone=microphone, profile=profile) as page:
        page.until(f"{STATE} == 'connected'")
        names = page.value(
            "[...document.getElementById('voice').options].map(o => o.value)"
        )
        assert tuple(names) == VOICES

        (tmp_path / "notes.txt").write_text("words")
        page.drop("#talk", tmp_path / "notes.txt")
        told(page, 1, "notes.txt is no picture, sound or film")
        (tmp_path / "broken.png").write_bytes(picture.read_bytes()[:40])
        page.drop("#talk", tmp_path / "broken.png")
        page.write("#words", "look")
        told(page, 2, "a PNG is cut short after 33 bytes")
        assert page.value("document.querySelector('main p.assistant')") is None
        assert page.value("document.getElementById('words').value") == "look"

        page.click("#hold")
        told(page, 3, "hold the button for as long as you talk")

        served.running.server.should_exit = True
        page.until(f"{STATE} == 'the server does not answer, trying again'")
        assert page.value("document.getElementById('hold').disabled")
        assert page.value("document.getElementById('send').disabled")


def test_without_a_microphone_one_can_write(served: Served, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    with browsing(served.url, microphone=None, profile=profile) as page:
        page.until(f"{STATE} == 'connected'")
        for number in range(1, 3):
            page.click("#hold")
            told(page, number, "no microphone: allow it for this page")
        page.click("#free")
        page.until("!document.getElementById('free').checked")
        page.write("#words", "say seven")
        assert "heard: say seven" in answered(page, 0)
        assert page.errors == []


def test_a_key_is_asked_for(locked: Served, microphone: Path, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    with browsing(locked.url, microphone=microphone, profile=profile) as page:
        page.until(f"{STATE} == 'a key is needed'")
        page.write("#key", "open")
        page.until(f"{STATE} == 'the key is wrong'")
        page.value("document.getElementById('key').value = ''")
        page.write("#key", "sesame")
        page.until(f"{STATE} == 'connected'")
        page.write("#words", "say seven")
        assert "heard: say seven" in answered(page, 0)


def test_it_waits_for_the_model(microphone: Path, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    for served in started(ServeOptions(port=0), load=False):
        with browsing(served.url, microphone=microphone, profile=profile) as page:
            page.until(f"{STATE} == 'the model is being loaded'")
            answerer = served.answerer
            served.running.load(answerer)
            page.until(f"{STATE} == 'connected'")

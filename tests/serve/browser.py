"""Chromium without a window, driven by its DevTools protocol as a person would."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
    "--use-fake-device-for-media-stream",
    "--no-first-run", "--disable-extensions", "--disable-background-networking",
    "--window-size=900,700",
)  # fmt: skip
# Loudness of all that is to be played, in order.
LISTENING = """
window.played = [];
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (...when) {
  const levels = this.buffer.getChannelData(0);
  const power = levels.reduce((sum, x) => sum + x * x, 0) / levels.length;
  window.played.push(Math.sqrt(power));
  return start.apply(this, when);
};
"""


def chromium() -> str | None:
    """Where one is."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browsing(url: str, *, microphone: Path | None, profile: Path) -> Iterator[Page]:
    """A page that is open.

    Args:
      microphone: a WAV that is heard, over and over; None to refuse to be heard.
      profile: a folder for the browser's own files.
    """
    program = chromium()
    assert program is not None
    heard = [
        f"--use-file-for-fake-audio-capture={microphone}",
        f"--use-fake-ui-for-media-stream{'' if microphone else '=deny'}",
    ]
    process = subprocess.Popen(
        [program, *FLAGS, *heard, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with connect(_address(process, profile), max_size=2**26) as socket:
            yield Page(socket, url)
    finally:
        process.terminate()
        process.wait()


def _address(process: subprocess.Popen[bytes], profile: Path) -> str:
    """Where it listens, as it writes into its folder."""
    told = profile / "DevToolsActivePort"
    while process.poll() is None:
        lines = told.read_text().splitlines() if told.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.05)
    raise AssertionError("Chromium has ended")


class Page:
    """One tab; `errors` are what its console was told of."""

    def __init__(self, socket: ClientConnection, url: str) -> None:
        self._socket, self._session, self._count = socket, "", 0
        self.errors: list[str] = []
        made = self.call("Target.createTarget", url="about:blank")
        attached = self.call(
            "Target.attachToTarget", targetId=made["targetId"], flatten=True
        )
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.addScriptToEvaluateOnNewDocument", source=LISTENING)
        self.call("Page.navigate", url=url)

    def call(self, method: str, **params: Any) -> Any:
        """What a command of the protocol gives."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            told = json.loads(self._socket.recv(timeout=60))
            if told.get("id") == self._count:
                assert "error" not in told, told
                return told["result"]
            self._note(told)

    def _note(self, told: dict[str, Any]) -> None:
        if told["method"] == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(told["params"]["exceptionDetails"]))
        if told["method"] == "Log.entryAdded":
            entry = told["params"]["entry"]
            if entry["level"] == "error":
                self.errors.append(entry["text"])

    def value(self, expression: str) -> Any:
        """Of an expression of JavaScript, awaited."""
        found = self.call(
            "Runtime.evaluate",
            expression=expression, awaitPromise=True, returnByValue=True,
        )  # fmt: skip
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, expression: str, seconds: float = 60.0) -> Any:
        """Its value, as soon as that is true."""
        end = time.monotonic() + seconds
        while not (found := self.value(expression)):
            assert time.monotonic() < end, f"never: {expression}\n{self.text()}"
            time.sleep(0.05)
        return found

    def text(self) -> str:
        return self.value("document.body.innerText")

    # -- what a person does --------------------------------------------------------

    def press(self, selector: str) -> None:
        """The mouse's button, down."""
        self._mouse("mousePressed", *self._middle(selector))

    def release(self, selector: str) -> None:
        self._mouse("mouseReleased", *self._middle(selector))

    def click(self, selector: str) -> None:
        self.press(selector)
        self.release(selector)

    def write(self, selector: str, text: str) -> None:
        """Into a field, and Enter."""
        self.click(selector)
        self.call("Input.insertText", text=text)
        for kind in ("rawKeyDown", "char", "keyUp"):
            self.key(kind, "Enter", 13, text="\r" if kind == "char" else "")

    def key(self, kind: str, key: str, number: int, *, text: str = "") -> None:
        self.call(
            "Input.dispatchKeyEvent",
            type=kind, key=key, code=key, windowsVirtualKeyCode=number, text=text,
        )  # fmt: skip

    def choose(self, selector: str, value: str) -> None:
        """In a list."""
        self.value(
            f"(e => {{ e.value = {json.dumps(value)};"
            "e.dispatchEvent(new Event('change', {bubbles: true})); })"
            f"(document.querySelector({json.dumps(selector)}))"
        )

    def drop(self, selector: str, file: Path) -> None:
        """A file from the desktop."""
        x, y = self._middle(selector)
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def picture(self, path: Path) -> None:
        """What is seen, as a PNG."""
        found = self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(found["data"]))

    def _middle(self, selector: str) -> tuple[float, float]:
        name = json.dumps(selector)
        box = self.value(
            f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])"
            f"(document.querySelector({name}).getBoundingClientRect())"
        )
        return box[0], box[1]

    def _mouse(self, kind: str, x: float, y: float) -> None:
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self.call(
            "Input.dispatchMouseEvent",
            type=kind, x=x, y=y, button="left", clickCount=1,
        )  # fmt: skip

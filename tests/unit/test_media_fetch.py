"""References of strangers: what is read, and all that is not."""

from __future__ import annotations

import base64
import ipaddress
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from t2t.media import web
from t2t.media.fetch import Access, Fetched, decode_base64, fetch
from t2t.media.limits import Limits, MediaError

LOOPBACK = ("127.0.0.0/8",)


# -- data: ---------------------------------------------------------------------------


def test_data_urls() -> None:
    body = bytes(range(256))
    text = base64.b64encode(body).decode()
    found = fetch(f"data:audio/wav;rate=16000;base64,{text}")
    assert found == Fetched(body, "audio/wav;rate=16000")
    assert fetch(f"DATA:;BASE64,{text.rstrip('=')}").data == body
    assert fetch("data:text/plain,a%20b%FF") == Fetched(b"a b\xff", "text/plain")
    urlsafe = base64.urlsafe_b64encode(body).decode()
    assert decode_base64(urlsafe) == decode_base64(f" {text}\n") == body


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("data:audio/wav;base64,a*b", "base64 is expected"),
        ("data:audio/wav;base64,é", "base64 is expected"),
        ("data:audio/wav;base64,a", "base64 is expected"),
        ("data:audio/wav;base64", "has no ','"),
        ("data:audio/wav;base64,", "0 bytes"),
        ("data:,", "0 bytes"),
    ],
)
def test_data_urls_that_are_none(url: str, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        fetch(url)


def test_data_is_measured_before_it_is_decoded() -> None:
    limits = Limits(file_bytes=9)
    nine = base64.b64encode(bytes(9)).decode()
    assert len(fetch(f"data:;base64,{nine}", limits=limits).data) == 9
    with pytest.raises(MediaError, match="1,000 characters: at most 16 are read"):
        fetch("data:;base64," + "*" * 1_000, limits=limits)
    with pytest.raises(MediaError, match="1,000 characters"):
        fetch("data:," + "a" * 1_000, limits=limits)
    with pytest.raises(MediaError, match="10 bytes: at most 9"):
        fetch("data:,aaaaaaaaaa", limits=limits)
    with pytest.raises(MediaError, match="base64 of 1,000 characters"):
        decode_base64("*" * 1_000, limits=limits)


# -- what is off ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("/etc/passwd", "'/etc/passwd' is refused: paths are not allowed here"),
        ("a.wav", "paths are not allowed here"),
        ("http://example.org/a", "http: URLs are not allowed here"),
        ("https://example.org/a", "https: URLs are not allowed here"),
        ("file:///etc/passwd", "file: URLs are not read"),
        ("FILE:/etc/passwd", "file: URLs are not read"),
        ("ftp://example.org/a", "ftp: URLs are not read"),
        ("concat:a|b", "concat: URLs are not read"),
        ("", "'' is refused"),
    ],
)
def test_nothing_else_is_read_from_the_start(reference: str, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        fetch(reference)


def test_data_too_can_be_off() -> None:
    with pytest.raises(MediaError, match="data: URLs are not allowed here"):
        fetch("data:,a", Access(data=False))
    long = "x" * 5_000
    with pytest.raises(MediaError) as caught:
        fetch(long)
    assert len(str(caught.value)) < 200


# -- paths ---------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a file, one below it, links of all kinds, and a secret beside it."""
    inside = tmp_path / "media"
    (inside / "deep").mkdir(parents=True)
    (tmp_path / "secret.wav").write_bytes(b"secret")
    (inside / "a.wav").write_bytes(b"sound")
    (inside / "deep" / "b.wav").write_bytes(b"deeper")
    (inside / "near").symlink_to("deep/b.wav")
    (inside / "out").symlink_to(tmp_path / "secret.wav")
    (inside / "up").symlink_to("..")
    (inside / "self").symlink_to("self")
    return inside


def test_paths_below_the_folder(folder: Path) -> None:
    access = Access(folder=folder)
    assert fetch("a.wav", access) == Fetched(b"sound")
    for reference in (
        "deep/b.wav",
        "./deep//b.wav",
        str(folder / "deep/b.wav"),
        "near",
    ):
        assert fetch(reference, access).data == b"deeper"
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert fetch("a.wav", Access(folder=link)).data == b"sound"


@pytest.mark.parametrize(
    "reference",
    [
        "../secret.wav", "deep/../../secret.wav", "..", "deep/..", "/etc/passwd",
        "out", "up/secret.wav", "self", "absent.wav", "a.wav/b", "deep", ".", "/",
        "a.wav\0", "%2e%2e/secret.wav", "~/x", "\udcff",
    ],
)  # fmt: skip
def test_paths_that_lead_elsewhere(folder: Path, reference: str) -> None:
    with pytest.raises(MediaError, match="without '..'|there is no"):
        fetch(reference, Access(folder=folder))
    absolute = str(folder.parent / "secret.wav")
    with pytest.raises(MediaError, match="there is no '/.*' in the folder"):
        fetch(absolute, Access(folder=folder))


def test_paths_to_what_is_no_file_or_too_much(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(MediaError, match="'pipe' is not a regular file"):
        fetch("pipe", Access(folder=folder))
    with pytest.raises(MediaError, match="5 bytes: at most 4"):
        fetch("a.wav", Access(folder=folder), limits=Limits(file_bytes=4))
    with pytest.raises(MediaError, match="there is no"):
        fetch("a.wav", Access(folder=folder / "absent"))


# -- the web -------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    """What the path says."""

    def do_GET(self) -> None:
        what, _, rest = self.path[1:].partition("/")
        getattr(self, f"_{what}", self._sound)(rest)

    def _sound(self, rest: str) -> None:
        self._answer(200, b"sound", {"Content-Type": "audio/wav"})

    def _host(self, rest: str) -> None:
        self._answer(200, self.headers["Host"].encode(), {})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _to(self, rest: str) -> None:
        self._answer(302, b"", {"Location": rest})

    def _hop(self, rest: str) -> None:
        left = int(rest)
        place = f"/hop/{left - 1}" if left else "/sound"
        self._answer(307, b"", {"Location": place})

    def _promise(self, rest: str) -> None:
        self._answer(200, b"short", {"Content-Length": rest})

    def _endless(self, rest: str) -> None:
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(bytes(65_536))

    def _drip(self, rest: str) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(1_000):
            self.wfile.write(b"X-%d: x\r\n" % number)
            time.sleep(0.05)

    def _packed(self, rest: str) -> None:
        self._answer(200, b"x", {"Content-Encoding": "gzip"})

    def _empty(self, rest: str) -> None:
        self._answer(200, b"", {})

    def _absent(self, rest: str) -> None:
        self._answer(404, b"no", {})

    def _nonsense(self, rest: str) -> None:
        self.wfile.write(b"nonsense\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients leave early


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Its address, 'http://127.0.0.1:port'."""
    with Server(("127.0.0.1", 0), Handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def test_loopback_is_refused_even_when_the_web_is_on(server: str) -> None:
    port = server.rsplit(":", 1)[1]
    for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "0.0.0.0"):
        with pytest.raises(MediaError, match="not public|has no address"):
            fetch(f"http://{host}:{port}/sound", Access(http=True))


def test_an_allowed_network(server: str) -> None:
    access = Access(http=True, allowed_networks=LOOPBACK)
    assert fetch(f"{server}/sound", access) == Fetched(b"sound", "audio/wav")
    # The name stays the one that was asked for.
    named = server.replace("127.0.0.1", "localhost")
    assert fetch(f"{named}/host/x?y=1#z", access).data.startswith(b"localhost:")
    with pytest.raises(MediaError, match="not allowed here"):
        fetch(f"{server}/sound", Access(allowed_networks=LOOPBACK))


def test_redirects_are_followed_three_times(server: str) -> None:
    access = Access(http=True, allowed_networks=LOOPBACK)
    assert fetch(f"{server}/hop/2", access).data == b"sound"
    with pytest.raises(MediaError, match="after more than 3 redirects"):
        fetch(f"{server}/hop/3", access)
    with pytest.raises(MediaError, match="after more than 0 redirects"):
        fetch(
            f"{server}/hop/0", Access(http=True, allowed_networks=LOOPBACK, redirects=0)
        )


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("file:///etc/passwd", "leads to 'file': http or https is read"),
        ("ftp://127.0.0.1/a", "leads to 'ftp'"),
        ("http://169.254.169.254/latest", "'169.254.169.254' .* not public"),
        ("http://10.0.0.1/", "'10.0.0.1' .* not public"),
        ("//[::ffff:10.0.0.1]/", "not public"),
        ("http://user:secret@127.0.0.1/", "name or password is refused"),
        ("https:///x", "names no host"),
        ("http://127.0.0.1:99999/", "a URL is expected"),
        ("http://127.0.0.1/\x7f", "characters that no URL has"),
        ("", "after more than 3 redirects"),
    ],
)
def test_redirects_are_checked_like_the_first(
    server: str, place: str, message: str
) -> None:
    with pytest.raises(MediaError, match=message):
        fetch(f"{server}/to/{place}", Access(http=True, allowed_networks=LOOPBACK))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("promise/1000000", "sends 1,000,000 bytes or more: at most 100,000"),
        ("promise/50", "sent 45 bytes too few|could not be read"),
        ("endless", "sends .* bytes or more: at most 100,000"),
        ("packed", "answers in 'gzip', unasked"),
        ("empty", "0 bytes"),
        ("absent", "answers with status 404"),
        ("nonsense", r"could not be read \(BadStatusLine\)"),
    ],
)
def test_servers_that_misbehave(server: str, path: str, message: str) -> None:
    access = Access(http=True, allowed_networks=LOOPBACK)
    with pytest.raises(MediaError, match=message):
        fetch(f"{server}/{path}", access, limits=Limits(file_bytes=100_000))


def test_one_byte_after_another_ends_at_the_deadline(server: str) -> None:
    access = Access(http=True, allowed_networks=LOOPBACK, deadline=0.4)
    begin = time.monotonic()
    with pytest.raises(MediaError, match="'127.0.0.1' did not answer within 0.4 s"):
        fetch(f"{server}/drip", access)
    assert time.monotonic() - begin < 2.0


def test_https_asks_for_a_certificate(server: str) -> None:
    access = Access(http=True, allowed_networks=LOOPBACK)
    with pytest.raises(MediaError, match=r"could not be read \(SSL"):
        fetch(server.replace("http:", "https:"), access)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
def test_https_with_the_certificate_of_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = str(tmp_path / "key"), str(tmp_path / "certificate")
    subject = "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
    command = f"openssl req -x509 -nodes -newkey rsa:2048 -days 2 {subject}"
    command += f" -keyout {key} -out {certificate}"
    subprocess.run(command.split(), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    access = Access(http=True, allowed_networks=LOOPBACK)
    with Server(("127.0.0.1", 0), Handler) as serving:
        serving.socket = context.wrap_socket(serving.socket, server_side=True)
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        port = serving.server_port
        assert fetch(f"https://localhost:{port}/sound", access).data == b"sound"
        with pytest.raises(MediaError, match=r"could not be read \(SSLCert"):
            fetch(f"https://127.0.0.1:{port}/sound", access)
        with pytest.raises(MediaError, match="from https: to another scheme"):
            fetch(f"https://localhost:{port}/to/http://127.0.0.1/", access)
        serving.shutdown()


class Names:
    """A resolver whose answers change."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.asked = list(answers), 0

    def __call__(self, name: str, port: int, **_: Any) -> list[Any]:
        self.asked += 1
        address = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]


def test_a_name_is_resolved_once_and_that_address_connected_to(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rebinding: the first answer is public, the second would be loopback."""
    names = Names("93.184.215.14", "127.0.0.1")
    connected: list[Any] = []

    def connect(address: tuple[str, int], **_: Any) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(web.socket, "getaddrinfo", names)
    monkeypatch.setattr(web.socket, "create_connection", connect)
    with pytest.raises(MediaError, match="could not be read"):
        fetch("http://rebinding.example/a", Access(http=True))
    assert connected == [("93.184.215.14", 80)] and names.asked == 1
    # By the time it resolves to us, it is refused.
    with pytest.raises(MediaError, match="not public"):
        fetch("http://rebinding.example/a", Access(http=True))
    assert len(connected) == 1


def test_one_private_address_among_public_ones_is_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = Names("93.184.215.14")("x", 80) + Names("192.168.0.1")("x", 80)
    monkeypatch.setattr(web.socket, "getaddrinfo", lambda *_, **__: both)
    with pytest.raises(MediaError, match="its address is not public"):
        fetch("http://two.example/", Access(http=True))


def test_other_ports_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.socket, "getaddrinfo", Names("93.184.215.14"))
    with pytest.raises(MediaError, match="port 22 is not 80 or 443"):
        fetch("http://example.org:22/", Access(http=True))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254",
        "172.16.0.1", "192.0.0.1", "192.168.1.1", "198.18.0.1", "203.0.113.1",
        "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
        "2001::1", "2001:db8::1", "2002:7f00:1::", "fc00::1", "fe80::1", "fe80::1%eth0",
        "fec0::1", "ff02::1", "ff0e::1", "2606:4700::1111%1",
    ],
)  # fmt: skip
def test_addresses_that_not_everybody_reaches(address: str) -> None:
    assert not web.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "2606:4700::1111", "::ffff:8.8.8.8"]
)
def test_addresses_that_everybody_reaches(address: str) -> None:
    assert web.is_public(ipaddress.ip_address(address))

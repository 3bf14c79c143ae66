"""Images and sources by address, from a server on this machine."""

import contextlib
import http.server
import io
import json
import threading
import time

import polars as pl
import pytest
from PIL import Image

from curate.cli import COMMANDS
from curate.read.sources import fetch
from pairwright.commands import command
from pairwright.dataset.store import Dataset
from pairwright.images import ImageError, ImageReader


def image(seed=0):
    out = io.BytesIO()
    Image.new("RGB", (20, 12), (seed, 50, 90)).save(out, "PNG")
    return out.getvalue()


def run(capsys, *words):
    code = command.main("curate", "", COMMANDS, ["ingest", *map(str, words), "--json"])
    shown = capsys.readouterr()
    return code, json.loads(shown.out), shown.err


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by path; what was asked is kept in `server.asked`."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Host"), dict(self.headers)))
        name = self.path.partition("?")[0].strip("/")
        answer = getattr(self, f"_{name.partition('/')[0].partition('.')[0]}", None)
        if answer is None:
            self.send_error(404)
        else:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                answer()

    def _send(self, content, code=200, **headers):
        self.send_response(code)
        for key, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def _good(self):
        self._send(image(int(self.path.partition("?")[2] or 0)))

    def _page(self):
        self._send(b"<html>no picture</html>" * 1000, Content_Type="text/html")

    def _huge(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(image())
        for _ in range(100):
            self.wfile.write(b"x" * (1 << 20))

    def _flaky(self):
        tries = sum(path.startswith("/flaky") for path, _, _ in self.server.asked)
        self._send(b"busy", 503) if tries < 2 else self._send(image())

    def _busy(self):
        self._send(b"busy", 503)

    def _jump(self):
        self._send(b"", 302, Location="/good")

    def _loop(self):
        self._send(b"", 302, Location="/loop")

    def _file(self):
        self._send(b"", 302, Location="file:///etc/passwd")

    def _inside(self):
        self._send(b"", 302, Location=self.server.elsewhere)

    def _zipped(self):
        self._send(image(), Content_Encoding="gzip")

    def _cut(self):
        self._send(image()[:60], Content_Length="99999")

    def _rows(self):
        if self.headers.get("If-None-Match") == '"v1"':
            self._send(b"", 304)
        else:
            self._send(json.dumps([{"question": "Q?", "answer": "A"}]).encode(), ETag='"v1"')

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    one = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    one.asked, one.elsewhere = [], "http://169.254.169.254/latest/meta-data"
    thread = threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield one
    one.shutdown()
    one.server_close()


@pytest.fixture
def url(server):
    return f"http://127.0.0.1:{server.server_address[1]}"


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(fetch.time, "sleep", lambda _: None)


def test_images_are_fetched_only_when_asked(server, url, tmp_path, capsys):
    rows = [{"question": f"Q{n}?", "answer": "A", "image": f"{url}/good?{n % 3}"} for n in range(9)]
    source = tmp_path / "r.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)))
    code, shown, _ = run(capsys, source, "-o", tmp_path / "a")
    assert (code, shown["reject_reasons"]) == (3, {"remote_image": 9})
    code, shown, _ = run(capsys, source, "-o", tmp_path / "b", "--fetch-urls")
    assert (code, shown["reject_reasons"]) == (3, {"private_address": 9})
    assert server.asked == []
    words = ["--fetch-urls", "--allow-private-urls"]
    code, shown, _ = run(capsys, source, "-o", tmp_path / "c", *words)
    assert (code, shown["tables"]["images"], shown["images_fetched"]) == (0, 3, 3)
    assert len(server.asked) == 3
    dataset = Dataset(tmp_path / "c")
    ids = dataset.read("samples", "r")["image_ids"].list.first().to_list()
    assert ids == ids[:3] * 3
    assert ImageReader(dataset).read(ids[1]) == image(1)
    reason = dataset.path.parent / "a" / "rejects" / "ingest" / "r"
    assert "--fetch-urls" in pl.read_parquet(reason / "*.parquet")["detail"][0]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("gone", "missing_image"),
        ("page", "not_an_image"),
        ("huge", "image_too_large"),
        ("busy", "fetch_failed"),
        ("loop", "too_many_redirects"),
        ("file", "remote_image"),
        ("inside", "private_address"),
        ("zipped", "fetch_encoded"),
        ("cut", "fetch_failed"),
    ],
)
def test_what_is_no_image_or_leads_elsewhere_is_refused(
    server, url, fast, monkeypatch, path, reason
):
    if path == "inside":  # the first address is allowed, where it leads to is not
        monkeypatch.setattr(fetch, "_is_public", lambda address: address == "127.0.0.1")
    with contextlib.closing(fetch.Fetcher(allow_private=path != "inside")) as fetcher:
        (found,) = fetcher.images([f"{url}/{path}"])
    assert isinstance(found, ImageError)
    assert found.reason == reason, found.detail
    if path == "page":
        assert len(server.asked) == 1


def test_retries_redirects_and_several_at_once(server, url, fast):
    with contextlib.closing(fetch.Fetcher(allow_private=True)) as fetcher:
        started = time.monotonic()
        found = fetcher.images(
            [f"{url}/flaky", f"{url}/jump", *(f"{url}/good?{n}" for n in range(30))]
        )
        assert time.monotonic() - started < 20
    assert found == [image(), image(), *(image(n) for n in range(30))]
    assert server.asked[0][2]["Accept-Encoding"] == "identity"


def test_the_address_that_was_checked_is_the_one_that_is_asked(server, url, monkeypatch):
    port = server.server_address[1]
    asked = []

    def lookup(host, *_, **__):  # a name that leads elsewhere the second time
        if host == "images.example":
            asked.append(host)
            host = "127.0.0.1" if len(asked) == 1 else "10.0.0.1"
        return [(2, 1, 6, "", (host, port))]

    monkeypatch.setattr(fetch.socket, "getaddrinfo", lookup)
    monkeypatch.setattr(fetch, "_is_public", lambda address: address == "127.0.0.1")
    with contextlib.closing(fetch.Fetcher()) as fetcher:
        found = fetcher.images([f"http://images.example:{port}/good"])
    assert found == [image()]
    assert asked == ["images.example"]
    assert server.asked[0][1] == f"images.example:{port}"


def test_another_address_of_a_host_is_tried(server, url, monkeypatch):
    port = server.server_address[1]
    real = fetch.socket.getaddrinfo

    def lookup(host, *rest, **named):
        if host != "two.example":
            return real(host, *rest, **named)
        return [(10, 1, 6, "", ("::1", port, 0, 0)), (2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(fetch.socket, "getaddrinfo", lookup)
    with contextlib.closing(fetch.Fetcher(allow_private=True)) as fetcher:
        assert fetcher.images([f"http://two.example:{port}/good"]) == [image()]


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.1.2.3", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("::1", False), ("fe80::1", False),
        ("::ffff:127.0.0.1", False), ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False),
        ("0.0.0.0", False), ("224.0.0.1", False), ("fd00::1", False), ("no address", False),
    ],
)  # fmt: skip
def test_which_addresses_are_public(address, public):
    assert fetch._is_public(address) == public


def test_a_source_is_downloaded_once(server, url, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = f"{url}/rows.json"
    code, shown, _ = run(capsys, source, "-o", tmp_path / "d")
    assert (code, "--fetch-urls downloads" in shown["error"]) == (2, True)
    words = [source, "-o", tmp_path / "d", "--fetch-urls"]
    code, shown, _ = run(capsys, *words)
    assert (code, "not a public address" in shown["error"]) == (1, True)
    for _ in range(2):
        code, shown, _ = run(capsys, *words, "--allow-private-urls")
        assert (code, shown["rows"], shown["table"]) == (0, 1, "samples/rows")
    assert len(server.asked) == 2
    assert "If-None-Match" in server.asked[1][2]
    code, shown, _ = run(
        capsys, f"{url}/gone.json", "-o", tmp_path / "e", *words[3:], "--allow-private-urls"
    )
    assert (code, "replies 404" in shown["error"]) == (1, True)
    assert run(capsys, "ftp://x.org/a.json", "-o", tmp_path / "e", "--fetch-urls")[0] == 2

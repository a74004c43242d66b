"""Downloads, against a real server on this machine."""

import hashlib
import io
import os
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from skcell.datasets import _fetch, fetch_bloodmnist
from skcell.exceptions import DownloadError

NAME = "bloodmnist.npz"


class Server(ThreadingHTTPServer):
    """Serves one file, counts, and misbehaves on request."""

    daemon_threads = True

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.ranges = True
        self.break_after = []  # bytes after which to close, one for each coming request
        self.requests = []  # (status, bytes sent)

    @property
    def n_bytes(self):
        return sum(sent for _, sent in self.requests)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        content, server = self.server.content, self.server
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted and server.ranges else 0
        if not self.path.startswith(f"/{NAME}"):
            return self.send_error(404)
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            server.requests.append((416, 0))
            return self.end_headers()
        body = content[start:]
        status = 206 if wanted and server.ranges else 200
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if server.break_after:
            body = body[: server.break_after.pop(0)]
        server.requests.append((status, len(body)))
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def content():
    rng = np.random.default_rng(0)
    arrays = {}
    for split, n in [("train", 300), ("val", 40), ("test", 60)]:
        arrays[f"{split}_images"] = rng.integers(0, 256, (n, 28, 28, 3), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(n) % 8).astype(np.uint8)[:, None]
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.fixture
def server(content, monkeypatch):
    server = Server(content)
    monkeypatch.setenv("SKCELL_BLOODMNIST_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setitem(_fetch._FILES, 28, (NAME, hashlib.md5(content).hexdigest()))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(home, **options):
    return fetch_bloodmnist(data_home=home, delay=0, **options)


def visible(home):
    return sorted(name for name in os.listdir(home) if not name.startswith("."))


def test_the_published_record_is_asked_for():
    assert _fetch._URL == "https://zenodo.org/records/10519652/files"
    assert {size: name for size, (name, _) in _fetch._FILES.items()} == {
        28: "bloodmnist.npz",
        64: "bloodmnist_64.npz",
        128: "bloodmnist_128.npz",
        224: "bloodmnist_224.npz",
    }
    assert all(re.fullmatch("[0-9a-f]{32}", md5) for _, md5 in _fetch._FILES.values())


def test_download_then_cache(tmp_path, server, content):
    data = fetch(tmp_path / "new" / "home")
    assert data.images.shape == (400, 28, 28, 3)
    assert data.target_names[3] == "immature granulocyte"
    assert data.target_names[data.target[:2]].tolist() == ["basophil", "eosinophil"]
    assert (data.split == "test").sum() == 60
    assert "CC BY 4.0" in data.DESCR
    assert (tmp_path / "new" / "home" / NAME).read_bytes() == content
    assert visible(tmp_path / "new" / "home") == [NAME]
    again = fetch(tmp_path / "new" / "home", download_if_missing=False)
    np.testing.assert_array_equal(again.images, data.images)
    assert server.requests == [(200, len(content))]


def test_environment_names_the_folder(tmp_path, server, monkeypatch):
    monkeypatch.setenv("SKCELL_DATA_HOME", str(tmp_path))
    fetch_bloodmnist()
    assert visible(tmp_path) == [NAME]


def test_broken_download_is_resumed_by_the_next_call(tmp_path, server, content):
    server.break_after = [500_000]
    with pytest.raises(DownloadError, match="could not be downloaded"):
        fetch(tmp_path, n_retries=0)
    assert visible(tmp_path) == [f"{NAME}.part"]
    kept = (tmp_path / f"{NAME}.part").stat().st_size
    assert 400_000 < kept <= 500_000
    assert len(fetch(tmp_path).images) == 400
    assert server.requests[1] == (206, len(content) - kept)
    assert visible(tmp_path) == [NAME]


def test_broken_download_is_resumed_within_one_call(tmp_path, server, content):
    server.break_after = [300_000, 300_000]
    fetch(tmp_path, n_retries=2)
    assert [status for status, _ in server.requests] == [200, 206, 206]
    assert server.n_bytes < len(content) + 200_000


def test_server_without_ranges_starts_over(tmp_path, server, content):
    server.break_after = [500_000]
    server.ranges = False
    fetch(tmp_path)
    assert server.requests == [(200, 500_000), (200, len(content))]


def test_partial_file_that_is_complete_already_is_used(tmp_path, server, content):
    (tmp_path / f"{NAME}.part").write_bytes(content)
    fetch(tmp_path)
    assert server.requests == [(416, 0)]
    assert visible(tmp_path) == [NAME]


@pytest.mark.parametrize("size", [1000, 10_000_000])
def test_partial_file_of_something_else_is_given_up(tmp_path, server, content, size):
    (tmp_path / f"{NAME}.part").write_bytes(bytes(size))
    fetch(tmp_path)
    assert server.requests[-1] == (200, len(content))
    assert (tmp_path / NAME).read_bytes() == content


def test_wrong_checksum_leaves_nothing_behind(tmp_path, server, content):
    server.content = content[:-1] + b"x"
    with pytest.raises(DownloadError, match="does not match the known hash"):
        fetch(tmp_path)
    assert visible(tmp_path) == []
    assert len(server.requests) == 1  # the same bytes would come again


def test_damaged_cached_file_is_replaced(tmp_path, server, content):
    (tmp_path / NAME).write_bytes(content[:1000])
    fetch(tmp_path)
    assert (tmp_path / NAME).read_bytes() == content


def test_offline_says_how_to_get_the_file_by_hand(tmp_path, server, monkeypatch, content):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    monkeypatch.setenv("SKCELL_BLOODMNIST_URL", url)
    with pytest.raises(DownloadError) as caught:
        fetch(tmp_path, n_retries=1)
    for part in (f"{url}/{NAME}", hashlib.md5(content).hexdigest(), str(tmp_path / NAME)):
        assert part in str(caught.value)
    (tmp_path / NAME).write_bytes(content)  # as the message says
    assert len(fetch(tmp_path).images) == 400


def test_missing_file_on_the_server(tmp_path, server, monkeypatch):
    monkeypatch.setenv("SKCELL_BLOODMNIST_URL", f"http://127.0.0.1:{server.server_port}/elsewhere")
    with pytest.raises(DownloadError, match="404"):
        fetch(tmp_path)
    assert visible(tmp_path) == []


def test_no_download_unless_wanted(tmp_path, server):
    with pytest.raises(DownloadError, match="download_if_missing=False"):
        fetch(tmp_path, download_if_missing=False)
    assert server.requests == []


def test_two_at_once_share_one_download(tmp_path, server):
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: fetch(tmp_path), range(4)))
    assert all(len(data.images) == 400 for data in results)
    assert len(server.requests) == 1


def test_sizes_are_those_published():
    with pytest.raises(ValueError, match="'size' parameter of fetch_bloodmnist"):
        fetch_bloodmnist(32)

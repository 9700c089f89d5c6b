import errno
import hashlib
import http.server
import logging
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor

import huggingface_hub.constants
import pooch
import pytest
import torch

from cromss.fusion import build
from cromss.weights import Weights, load_weights
from cromss.weights.fetch import fetch, is_address
from helpers.weights_files import foreign

CONTENT = b"weights" * 50_000


class Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        """Answers as Hugging Face does when it is asked for a file."""
        self.server.asked.append((self.path, self.headers["Authorization"]))
        self.send_response(404 if self.path.endswith("missing.pth") else 200)
        content = self.server.files.get(self.path, CONTENT)
        self.send_header("ETag", f'"{sha256(content)}"')
        self.send_header("X-Repo-Commit", "a" * 40)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path == "/missing.pth":
            self.send_error(404)
            return
        content = self.server.files.get(self.path, CONTENT)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if self.path == "/cut.pth" else content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.asked, running.files = [], {}
        running.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def files(cache):
    return [path.name for path in cache.rglob("*") if path.is_file() and path.name != ".lock"]


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def test_what_is_an_address():
    assert is_address("https://host/a.pth")
    assert is_address("hf://org/repo/a.pth")
    assert not is_address("/home/https/a.pth")


def test_a_file_is_fetched_once(server, cache):
    url = f"{server.url}/weights.pth?download=true"
    first = fetch(url, sha256(CONTENT), cache)
    assert first.name == "weights.pth"
    assert first.read_bytes() == CONTENT
    server.shutdown()
    assert fetch(url, sha256(CONTENT).upper(), cache) == first
    assert fetch(url, None, cache) == first
    assert server.asked == ["/weights.pth?download=true"]


def test_files_of_one_name_do_not_collide(server, cache):
    server.files = {"/a/weights.pth": b"a", "/b/weights.pth": b"b"}
    paths = [fetch(f"{server.url}/{folder}/weights.pth", sha256(folder.encode()), cache) for folder in "ab"]
    assert [path.read_bytes() for path in paths] == [b"a", b"b"]


def test_without_a_checksum_the_found_one_is_reported_once(server, cache, caplog):
    for _ in range(2):
        fetch(f"{server.url}/weights.pth", None, cache)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert f"pin it by backbone.weights_sha256={sha256(CONTENT)}" in warnings[0]


def test_a_wrong_checksum_leaves_nothing(server, cache):
    url = f"{server.url}/weights.pth"
    with pytest.raises(ValueError, match=r"is another file than backbone.weights_sha256=000.* or came damaged"):
        fetch(url, "0" * 64, cache)
    assert files(cache) == []
    fetch(url, None, cache)
    with pytest.raises(ValueError, match=r"is another file than backbone.weights_sha256=000"):
        fetch(url, "0" * 64, cache)
    assert files(cache) == []


def test_a_file_that_changed_in_the_cache_is_fetched_again(server, cache):
    url = f"{server.url}/weights.pth"
    path = fetch(url, sha256(CONTENT), cache)
    path.write_bytes(b"damaged")
    assert fetch(url, sha256(CONTENT), cache).read_bytes() == CONTENT


def test_a_connection_that_is_cut_leaves_nothing(server, cache):
    with pytest.raises(ValueError, match=r"cut.pth cannot be fetched \(.*\): .*try again .*weights_path=FILE"):
        fetch(f"{server.url}/cut.pth", None, cache)
    assert files(cache) == []


def test_what_a_killed_process_left_is_removed(server, cache):
    url = f"{server.url}/weights.pth"
    folder = fetch(url, None, cache).parent
    (folder / "weights.pth").rename(folder / "tmpabc")
    fetch(url, None, cache)
    assert files(cache) == ["weights.pth"]


def test_a_file_that_is_not_there(server, cache):
    with pytest.raises(ValueError, match=r"missing.pth cannot be fetched \(404 .*\): correct the URL, .* or download"):
        fetch(f"{server.url}/missing.pth", None, cache)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/weights.pth", "http://host.invalid/weights.pth", "http:///weights.pth"]
)
def test_without_a_network(cache, url):
    with pytest.raises(
        ValueError, match=r"weights.pth cannot be fetched \(.*\): .*try again with a network, or download it by"
    ):
        fetch(url, None, cache)


def test_a_full_disk(server, cache, monkeypatch):
    def write(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", write)
    with pytest.raises(
        ValueError, match=r"No space left on device\): free space there, or set backbone.weights_cache=FOLDER"
    ):
        fetch(f"{server.url}/weights.pth", None, cache)
    assert files(cache) == []


def test_a_cache_that_is_no_folder(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot be kept in .*weights_cache=FOLDER"):
        fetch(f"{server.url}/weights.pth", None, tmp_path / "file")


def test_of_several_that_ask_at_once_one_fetches(server, cache):
    url = f"{server.url}/weights.pth"
    # Locks are those of open files: threads wait for each other as processes do.
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch(url, None, cache), range(4)))
    assert len(set(paths)) == 1
    assert server.asked == ["/weights.pth"]


def test_weights_come_from_a_url(server, cache, tmp_path):
    state = foreign("moco", tmp_path / "moco.pth")
    server.files["/moco.pth"] = (tmp_path / "moco.pth").read_bytes()
    url, digest = f"{server.url}/moco.pth", sha256(server.files["/moco.pth"])
    net = build("single", "resnet18", 0, 13, 9)
    weights = Weights("moco", url, digest, str(cache), modality=None, load="encoder", adapt_bands=False)
    (report,) = weights(net, bands=13)
    assert (report.path, report.sha256) == (url, digest)
    assert torch.equal(net.encoder.conv1.weight, state["conv1.weight"])
    assert load_weights(net, url, "moco", cache=cache).sha256 == digest
    server.files["/page.pth"] = b"<html>please sign in</html>"
    with pytest.raises(ValueError, match=r"cannot be read as weights \(.*\): delete .*page.pth, a copy of http"):
        load_weights(net, f"{server.url}/page.pth", "moco", cache=cache)


# Hugging Face.


@pytest.fixture
def hub(server, tmp_path, monkeypatch):
    """A stand-in for Hugging Face, as HF_ENDPOINT names one before Python starts; its cache is `tmp_path`."""
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    return server


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("hf://org/repo/a/w.pth", "/org/repo/resolve/main/a/w.pth"),
        ("hf://org/repo@v1/w.pth", "/org/repo/resolve/v1/w.pth"),
        ("https://huggingface.co/org/repo/resolve/v1/w.pth?download=true", "/org/repo/resolve/v1/w.pth"),
        ("https://huggingface.co/datasets/org/repo/blob/main/w.pth", "/datasets/org/repo/resolve/main/w.pth"),
    ],
)
def test_files_of_hugging_face_come_by_its_client_with_its_token_and_cache(hub, cache, monkeypatch, address, path):
    found = fetch(address, None, cache)
    assert found.read_bytes() == CONTENT
    assert (path, "Bearer hf_secret") in hub.asked
    assert path in hub.asked
    assert not cache.exists()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert fetch(address, None, cache) == found


def test_weights_of_hugging_face_are_read_and_checked_as_any_file(hub, tmp_path):
    state = foreign("moco", tmp_path / "moco.pth")
    hub.files["/org/repo/resolve/main/moco.pth"] = (tmp_path / "moco.pth").read_bytes()
    net = build("single", "resnet18", 0, 13, 9)
    report = load_weights(net, "hf://org/repo/moco.pth", "moco")
    assert torch.equal(net.encoder.conv1.weight, state["conv1.weight"])
    assert (report.path, report.sha256) == ("hf://org/repo/moco.pth", sha256((tmp_path / "moco.pth").read_bytes()))
    with pytest.raises(ValueError, match="backbone.weights_sha256=000"):
        load_weights(net, "hf://org/repo/moco.pth", "moco", sha256="0" * 64)
    with pytest.raises(ValueError, match="cannot be read as weights"):
        load_weights(net, "hf://org/repo/page.pth", "moco")


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("hf://org/repo/missing.pth", "404"),
        ("hf://org/repo", "names no file"),
        ("hf://org", "namespace/name"),
        ("hf://org/repo/../../w.pth", "path segment"),
        ("https://huggingface.co/org/repo/discussions/1", "route"),
    ],
)
def test_what_hugging_face_does_not_have_is_one_sentence(hub, cache, address, reason):
    with pytest.raises(
        ValueError, match=rf"cannot be fetched \(.*{reason}.*\): .* backbone.weights_path=FILE"
    ) as error:
        fetch(address, None, cache)
    assert "\n" not in str(error.value)
    assert "hf_secret" not in str(error.value)


def test_without_a_network_or_with_an_old_client_hugging_face_is_one_sentence(hub, cache, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"cannot be fetched \(.*offline.*\): .* without HF_HUB_OFFLINE") as error:
        fetch("hf://org/repo/w.pth", None, cache)
    assert "\n" not in str(error.value)
    monkeypatch.setitem(sys.modules, "huggingface_hub", types.ModuleType("huggingface_hub"))
    with pytest.raises(ValueError, match=r"pip install 'cromss\[download\]'"):
        fetch("hf://org/repo/w.pth", None, cache)

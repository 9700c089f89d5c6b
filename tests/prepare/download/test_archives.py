import hashlib
import re
import shutil
from collections import namedtuple

import pytest

from cromss.prepare.download.archives import Archive, fetch_archive
from cromss.prepare.download.retry import RefusedError, UnreachableError

CONTENT = bytes(range(256)) * 10_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Host:
    """Answers with a file; `cuts` says after how many bytes the next connections are cut."""

    def __init__(self, content=CONTENT, ranges=True, tag='"1"', cuts=(), statuses=()):
        self.content, self.ranges, self.tag = content, ranges, tag
        self.cuts, self.statuses, self.asked = list(cuts), list(statuses), []

    def __call__(self, handler):
        wanted = handler.headers.get("Range")
        self.asked.append(wanted)
        if self.statuses:
            handler.send(b"", self.statuses.pop(0))
            return
        headers, status, start = {"ETag": self.tag} if self.tag else {}, 200, 0
        if wanted and self.ranges and handler.headers.get("If-Range", self.tag) == self.tag:
            status, start, total = 206, int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]), len(self.content)
            if start >= total:
                handler.send(b"", 416, Content_Range=f"bytes */{total}")
                return
            headers["Content_Range"] = f"bytes {start}-{total - 1}/{total}"
        rest = self.content[start:]
        handler.send(rest[: self.cuts.pop(0)] if self.cuts else rest, status, Content_Length=len(rest), **headers)


@pytest.fixture
def target(tmp_path):
    return tmp_path / "a.tar.gz"


def fetch(server, host, target, network, sha256=SHA256):
    server.answer = host
    return fetch_archive(network, Archive(f"{server.url}/a.tar.gz", sha256), target)


def names(target):
    return sorted(path.name for path in target.parent.iterdir())


def test_a_file_is_fetched(server, target, network):
    assert fetch(server, Host(), target, network, SHA256.upper()) == f"sha256 {SHA256}"
    assert target.read_bytes() == CONTENT
    assert names(target) == ["a.tar.gz"]


def test_an_unknown_checksum_is_reported(server, target, network, caplog):
    fetch(server, Host(), target, network, None)
    assert f"was not checked against anything: its sha256 is {SHA256}" in caplog.text


def test_cut_connections_go_on_where_they_were_cut(server, target, network):
    host = Host(cuts=[1_500_000, 2**19, 70_000])
    fetch(server, host, target, network)
    assert target.read_bytes() == CONTENT
    starts = [int(wanted[6:-1]) for wanted in host.asked[1:]]
    assert len(starts) == 3
    assert 0 < starts[0] <= 1_500_000
    assert starts == sorted(starts)


def test_a_killed_run_is_gone_on_with(server, target, network):
    target.with_name("a.tar.gz.partial").write_bytes(CONTENT[:1000])
    host = Host()
    fetch(server, host, target, network)
    assert host.asked == ["bytes=1000-"]
    assert target.read_bytes() == CONTENT


def test_a_server_without_ranges_starts_again(server, target, network):
    host = Host(ranges=False, cuts=[2**20])
    fetch(server, host, target, network)
    assert len(host.asked) == 2
    assert target.read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_starts_again(server, target, network):
    with pytest.raises(UnreachableError):
        fetch(server, Host(content=b"x" * 3_000_000, tag='"0"', cuts=[2_000_000, 0, 0, 0, 0]), target, network)
    assert target.with_name("a.tar.gz.partial").stat().st_size > 0
    fetch(server, Host(), target, network)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("size", [len(CONTENT), len(CONTENT) + 5])
def test_nothing_is_left_to_fetch(server, target, network, size):
    target.with_name("a.tar.gz.partial").write_bytes((CONTENT + b"extra")[:size])
    host = Host()
    fetch(server, host, target, network)
    assert target.read_bytes() == CONTENT
    assert len(host.asked) == (1 if size == len(CONTENT) else 2)


def test_failures_pass(server, target, network):
    host = Host(statuses=[503, 503])
    fetch(server, host, target, network)
    assert len(host.asked) == 3
    assert target.exists()


def test_a_wrong_checksum(server, target, network):
    with pytest.raises(ValueError, match=rf"has the checksum {SHA256}, not 0{{64}}: .* kept as .*a.tar.gz.wrong"):
        fetch(server, Host(), target, network, "0" * 64)
    assert names(target) == ["a.tar.gz.wrong"]
    fetch(server, Host(), target, network)
    assert target.read_bytes() == CONTENT
    assert names(target) == ["a.tar.gz"]


def test_no_such_file(server, target, network):
    with pytest.raises(RefusedError, match="404"):
        fetch(server, Host(statuses=[404]), target, network)
    assert names(target) == []


def test_a_full_disk_is_noticed_before(server, target, network, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(1_000_000))
    with pytest.raises(OSError, match=r"has 0.0 GB free, 0.0 GB are needed for a.tar.gz: free space there"):
        fetch(server, Host(), target, network)
    assert names(target) == []


def test_an_address_has_to_name_a_file():
    assert Archive("https://h/a%20b.zip?x=1").name == "a b.zip"
    with pytest.raises(ValueError, match=r"https://\*\*\*@h/ must be http\(s\)://…/FILE"):
        Archive("https://me:pw@h/")

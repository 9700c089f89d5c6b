import gzip
import io
import logging
import resource
import tarfile

import pytest

from cromss.dataset.lmdb_env import LmdbReader
from cromss.prepare.raw_files import spool_path
from cromss.prepare.spool import spool

GOOD = "s1/0000005/20200114T100000/VV.tif"
LAST = "s1/0000005/20200114T100000/VH.tif"


def member(name, size=4, kind=tarfile.REGTYPE, **attributes):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


def sparse(name, claimed):
    """A GNU sparse member of one piece of 4 bytes that claims to be as large as `claimed`."""
    header = bytearray(member(name, 4, tarfile.GNUTYPE_SPARSE).tobuf(tarfile.GNU_FORMAT))
    for place, number in ((386, claimed - 4), (398, 4), (483, claimed)):
        header[place : place + 12] = tarfile.itn(number, 12, tarfile.GNU_FORMAT)
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + b"data".ljust(512, b"\0")


def plain(info, data=b"data", encoding="utf-8", form=tarfile.GNU_FORMAT):
    return info.tobuf(form, encoding, "surrogateescape") + (data.ljust(512, b"\0") if info.isreg() else b"")


def spooled(tmp_path, odd, pack=True):
    """The keys that are laid down of an archive with a good member, an odd one and another good one."""
    content = plain(member(GOOD)) + odd + plain(member(LAST)) + bytes(1024)
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(gzip.compress(content) if pack else content)
    spool([archive], tmp_path / "out", {0: {5}})
    keys = [key.decode() for key in LmdbReader(spool_path(tmp_path / "out", 0)).all_keys()]
    return [key for key in keys if not key.startswith("~")]


ODD = {
    "sparse": (sparse("s1/0000005/x/B.tif", 2**40), "B.tif (it is sparse, of 1099511627776 bytes)"),
    "long": (plain(member(f"s1/0000005/{'x' * 600}/B.tif")), "more than 511 bytes"),
    "not UTF-8": (plain(member("s1/0000005/x\udcff/B.tif")), "s1/0000005/x\\udcff/B.tif (its name is not printable"),
    "escape": (plain(member("s1/0000005/\x1b[2J/B.tif")), "\\x1b[2J/B.tif (its name is not printable"),
    "link": (plain(member("s1/0000005/x/B.tif", 0, tarfile.SYMTYPE, linkname="/etc/passwd")), "it is a link"),
    "hard link": (plain(member("s1/0000005/x/B.tif", 0, tarfile.LNKTYPE, linkname=GOOD)), "it is a link"),
    "device": (plain(member("s1/0000005/x/B.tif", 0, tarfile.CHRTYPE)), "it is not a regular file"),
    "pipe": (plain(member("s1/0000005/x/B.tif", 0, tarfile.FIFOTYPE)), "it is not a regular file"),
    "absolute": (plain(member("/s1/0000005/x/B.tif")), "leads out of the archive"),
    "upwards": (plain(member("../s1/0000005/x/B.tif")), "leads out of the archive"),
    "upwards within": (plain(member("s1/0000005/../B.tif")), "leads out of the archive"),
    "long in pax": (
        plain(member(f"s1/0000005/{'x' * 600}/B.tif"), form=tarfile.PAX_FORMAT),
        "more than 511 bytes",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_member_is_left_out_and_named(tmp_path, caplog, name):
    odd, words = ODD[name]
    assert spooled(tmp_path, odd) == ["s1/0000005/20200114T100000/vh", "s1/0000005/20200114T100000/vv"]
    assert "1 members are left out" in caplog.text
    assert words in caplog.text


def test_a_large_member_is_passed_over(tmp_path, caplog):
    odd = member("s1/0000005/x/B.tif", 2**25).tobuf(tarfile.GNU_FORMAT) + bytes(2**25)
    assert len(spooled(tmp_path, odd)) == 2
    assert "B.tif (it has 33554432 bytes, more than" in caplog.text


def test_a_location_of_many_files_is_bounded(tmp_path, caplog):
    data = bytes(2**24)
    odd = b"".join(
        member(f"s1/0000005/x/{number}.tif", len(data)).tobuf(tarfile.GNU_FORMAT) + data for number in range(3)
    )
    # 16 MiB each, 32 MiB for all.
    assert len(spooled(tmp_path, odd)) == 3
    assert "2 members are left out" in caplog.text


def pax(records):
    """A PAX header with these records, without a look at what they are."""
    body = b""
    for key, value in records.items():
        record = b" %s=%s\n" % (key, value)
        length = len(record) + len(str(len(record) + 3))
        body += b"%d" % length + record
    return plain(member("pax", len(body), tarfile.XHDTYPE), body.ljust(0))[:512] + body.ljust(
        -(-len(body) // 512) * 512, b"\0"
    )


BREAKING = {
    "header of a terabyte": member("x", 2**40, tarfile.XHDTYPE).tobuf(tarfile.GNU_FORMAT) + bytes(2**20),
    "name of a gigabyte": member("x", 2**30, tarfile.GNUTYPE_LONGNAME).tobuf(tarfile.GNU_FORMAT) + bytes(2**20),
    "negative size": member("s1/0000005/x/B.tif", -512).tobuf(tarfile.GNU_FORMAT),
    "headers of headers": member("x", 0, tarfile.XHDTYPE).tobuf(tarfile.GNU_FORMAT) * 2000,
    "odd sparse size": pax({b"GNU.sparse.size": b"abc", b"GNU.sparse.map": b"1,x"}) + plain(member("s1/5/x/B.tif")),
    "cut": member("s1/0000005/x/B.tif", 2**20).tobuf(tarfile.GNU_FORMAT),
}


@pytest.mark.parametrize("name", BREAKING)
def test_an_archive_that_cannot_be_read_on_keeps_what_came_before(tmp_path, caplog, name):
    caplog.set_level(logging.WARNING)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    keys = spooled(tmp_path, BREAKING[name])
    assert keys[-1:] == ["s1/0000005/20200114T100000/vv"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB
    assert len(keys) == 2 or "breaks off after s1/0000005" in caplog.text


def test_a_pass_that_left_a_damaged_spool_begins_again(tmp_path):
    assert len(spooled(tmp_path, b"")) == 2
    file = spool_path(tmp_path / "out", 0) / "data.mdb"
    file.write_bytes(file.read_bytes()[:8192] + b"\xff" * 4096)
    assert len(spooled(tmp_path, plain(member("s1/0000005/x/B.tif")))) == 3


def test_an_archive_of_zeros(tmp_path):
    stream = io.BytesIO()
    with gzip.open(stream, "wb") as file:
        for _ in range(64):
            file.write(bytes(2**20))
    (tmp_path / "a.tar.gz").write_bytes(stream.getvalue())
    spool([tmp_path / "a.tar.gz"], tmp_path / "out", {0: {5}})

import gzip
import io
import logging
import resource
import tarfile
import tracemalloc

import pytest

from cromss.io.lmdb_reader import LmdbReader
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


def pax(records):
    """A PAX header with these records, without a look at what they are."""
    body = b""
    for key, value in records.items():
        record = b" %s=%s\n" % (key, value)
        # The length counts its own digits.
        length = next(total for digits in range(1, 8) if len(str(total := len(record) + digits)) == digits)
        body += b"%d" % length + record
    return extended(body)


def extended(body, kind=tarfile.XHDTYPE):
    return member("pax", len(body), kind).tobuf(tarfile.GNU_FORMAT) + body.ljust(-(-len(body) // 512) * 512, b"\0")


PIECES = b"1000000000\n" + b"0\n" * 5_000_000
"""How a sparse member of the version 1.0 begins: the number of its pieces, and where they lie."""

ODD = {
    "sparse 1.0": (
        pax(
            {
                b"GNU.sparse.major": b"1",
                b"GNU.sparse.minor": b"0",
                b"GNU.sparse.name": b"s1/0000005/x/B.tif",
                b"GNU.sparse.realsize": b"%d" % 2**40,
            }
        )
        + member("GNUSparseFile.0/B.tif", len(PIECES)).tobuf(tarfile.USTAR_FORMAT)
        + PIECES.ljust(-(-len(PIECES) // 512) * 512, b"\0"),
        "B.tif (it is sparse",
    ),
    "sparse 0.1": (
        pax({b"GNU.sparse.size": b"%d" % 2**40, b"GNU.sparse.map": b"0,x"}) + plain(member("s1/0000005/x/B.tif")),
        "B.tif (it is sparse",
    ),
    "size in pax": (
        pax({b"size": b"%d" % (2**24 + 512)})
        + member("s1/0000005/x/B.tif", 0).tobuf(tarfile.USTAR_FORMAT)
        + bytes(2**24 + 512),
        "B.tif (it has 16777728 bytes",
    ),
    "not UTF-8 in pax": (
        pax({b"path": b"s1/0000005/\xff/B.tif"}) + plain(member("x")),
        "its name is not printable",
    ),
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


BREAKING = {
    "header of a terabyte": member("x", 2**40, tarfile.XHDTYPE).tobuf(tarfile.GNU_FORMAT) + bytes(2**20),
    "name of a gigabyte": member("x", 2**30, tarfile.GNUTYPE_LONGNAME).tobuf(tarfile.GNU_FORMAT) + bytes(2**20),
    "negative size": member("s1/0000005/x/B.tif", -512).tobuf(tarfile.GNU_FORMAT),
    "headers of headers": member("x", 0, tarfile.XHDTYPE).tobuf(tarfile.GNU_FORMAT) * 2000,
    "digits without end": extended(b"1" * 2**17),
    "odd size": pax({b"size": b"abc"}) + plain(member("s1/5/x/B.tif")),
    "negative size in a record": pax({b"size": b"-5"}) + plain(member("s1/5/x/B.tif")),
    "size of 2^80": pax({b"size": b"%d" % 2**80}) + plain(member("s1/5/x/B.tif")),
    "a record of no length": extended(b"0 a=b\n"),
    "a record that is longer than its header": extended(b"999999 a=b\n"),
    "a record without a value": extended(b"6 abc\n"),
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


def test_headers_for_the_whole_archive_are_not_kept(tmp_path):
    headers = b"".join(
        extended(b"100013 %05d=" % number + b"x" * 99_999 + b"\n", tarfile.XGLTYPE)
        + plain(member(f"s1/0000005/x/{number}.tif"))
        for number in range(300)
    )
    tracemalloc.start()
    assert len(spooled(tmp_path, headers)) == 302
    # 30 MB of headers, beside what the test itself holds.
    assert tracemalloc.get_traced_memory()[1] - 2 * len(headers) < 20e6
    tracemalloc.stop()


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

"""The tar format: what Python's and GNU's writers write is read; damage, cuts and hostile headers are refused."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxwright.batch.inputs import tar_format
from boxwright.batch.inputs.tar_format import Member, TarError, TarReader

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
LONG = "folder/" * 40 + "ä.jpg"


def _packed(files: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return target.getvalue()


def _pieces(content: bytes, size: int = 1000) -> Iterator[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


def _read(content: bytes, size: int = 1000) -> list[tuple[Member, bytes]]:
    reader = TarReader(_pieces(content, size))
    return [(member, b"".join(reader.content())) for member in reader.members()]


def _files(content: bytes, size: int = 1000) -> dict[str, bytes]:
    return {member.name.decode(): data for member, data in _read(content, size)}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("size", [1, 511, 512, 100_000])
def test_members_are_read_in_their_order_whatever_the_pieces(form, size):
    files = {"a.jpg": b"x" * 700, "dir/ä b.jpg": b"", "z": bytes(512), "b" * 99: b"1"}
    packed = _packed(files, form)
    assert _files(packed, size) == files
    assert list(_files(packed, size)) == list(files)
    assert tar_format.is_tar(packed[:4096])


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_whole(form):
    files = {LONG: b"first", "short.jpg": b"second"}
    assert _files(_packed(files, form)) == files
    prefixed = {"a" * 100 + "/" + "b" * 50: b"x"}
    assert _files(_packed(prefixed, tarfile.USTAR_FORMAT)) == prefixed


def test_what_is_not_read_of_a_member_is_skipped():
    reader = TarReader(_pieces(_packed({"a": b"x" * 5000, "b": b"y" * 10, "c": b"z"})))
    names = []
    for member in reader.members():
        names.append(member.name)
        next(reader.content())
    assert names == [b"a", b"b", b"c"]


def test_what_is_no_regular_file_is_named():
    target = io.BytesIO()
    kinds = {
        b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"5": "a folder", b"6": "a pipe",
        b"S": "a sparse file",
    }  # fmt: skip
    with tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for kind in kinds:
            info = tarfile.TarInfo(f"{kind.decode()}.jpg")
            info.type, info.linkname = kind, "../../etc/passwd"
            archive.addfile(info)
    assert [member.kind for member, _ in _read(target.getvalue())] == list(kinds.values())


def test_sizes_of_eight_gigabytes_and_more_are_understood():
    info = tarfile.TarInfo("large.jpg")
    info.size = 9 << 30
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        reader = TarReader(_pieces(info.tobuf(form)))
        assert next(reader.members()) == Member(b"large.jpg", 9 << 30)


@pytest.mark.parametrize("keep", [100, 512, 513, 1000, 21_000])
def test_an_archive_that_is_cut_off_is_refused(keep):
    with pytest.raises(TarError, match=r"it is cut off|no end mark"):
        _read(_packed({"a.jpg": b"x" * 600, "b.jpg": b"y" * 20_000})[:keep])


def test_an_archive_without_its_end_mark_may_lack_members_and_is_refused():
    whole = _packed({"a.jpg": b"x" * 512})
    with pytest.raises(TarError, match="no end mark"):
        _read(whole[:1024] if whole[156:157] == b"0" else whole[:2048])


def test_a_damaged_header_is_no_end():
    packed = bytearray(_packed({"a.jpg": b"x" * 512, "b.jpg": b"y"}, tarfile.USTAR_FORMAT))
    packed[1024 + 3] ^= 0x55
    reader = TarReader(_pieces(bytes(packed)))
    members = reader.members()
    assert next(members).name == b"a.jpg"
    with pytest.raises(TarError, match="the header at byte 1024 is damaged"):
        next(members)


def _header(kind: bytes, size: int) -> bytes:
    info = tarfile.TarInfo("h")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


HOSTILE = {
    "an extended header of gigabytes": (_header(b"x", 5 << 30), "the limit is 1048576"),
    "a long name of gigabytes": (_header(b"L", 5 << 30), "the limit is 1048576"),
    "headers without a member": ((_header(b"x", 6) + b"6 a=b\n".ljust(512, b"\0")) * 100, "more than 64 headers"),
    "a record that is longer than its header": (_header(b"x", 10) + b"99 path=x\n".ljust(512, b"\0"), "damaged"),
    "a record without a length": (_header(b"x", 10) + b"path=xxxx\n".ljust(512, b"\0"), "damaged"),
    "a record of length 0": (_header(b"x", 7) + b"0 p=xx\n".ljust(512, b"\0"), "damaged"),
    "a size that is no number": (_header(b"x", 12) + b"12 size=-99\n".ljust(512, b"\0") + _header(b"0", 1), "damaged"),
    "a negative size": (_header(b"0", 0).replace(b"00000000000", b"-0000000001", 1), "damaged"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_headers_are_refused(what):
    content, text = HOSTILE[what]
    with pytest.raises(TarError, match=text):
        _read(content)


@given(st.integers(0, 2**32), st.integers(1, 20))
def test_any_damage_is_read_or_refused(seed, count):
    chance = random.Random(seed)
    packed = bytearray(_packed({"a.jpg": b"x" * 700, LONG: b"y" * 30, "c": b""}))
    for _ in range(count):
        packed[chance.randrange(len(packed))] = chance.randrange(256)
    try:
        _read(bytes(packed))
    except TarError as error:
        assert str(error)


@pytest.mark.parametrize("start", [b"", b"gs://b/a.jpg\n" * 100, b"\xff\xd8\xff" * 300, b"PAR1" * 300, b"\0" * 100])
def test_other_files_are_no_archives(start):
    assert not tar_format.is_tar(start)

"""The audit log: every change in it is found, several processes write one log, and a full disk costs no line."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from boxwright import errors
from boxwright.access import audit_log, audit_verification
from boxwright.access.audit_log import AuditLog
from boxwright.metadata import database
from boxwright.metadata.schema import audit_heads

WRITER = """
import pathlib, sys
from boxwright.access.audit_log import AuditLog
from boxwright.metadata import database
db = database.Database(pathlib.Path(sys.argv[1]))
log = AuditLog(pathlib.Path(sys.argv[2]), db, instance="m", head_interval_s=0)
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    log.append({"severity": "NOTICE", "number": number, "text": "x" * 300})
log.close()
db.close()
"""


@pytest.fixture
def db(tmp_path: pathlib.Path) -> Iterator[database.Database]:
    opened = database.Database(tmp_path / "metadata.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "audit"


def open_log(folder: pathlib.Path, db: database.Database, **options: float) -> AuditLog:
    return AuditLog(folder, db, instance="m", head_interval_s=0, **options)  # type: ignore[arg-type]


def write(folder: pathlib.Path, db: database.Database, count: int, **options: float) -> None:
    log = open_log(folder, db, **options)
    for number in range(count):
        log.append({"severity": "NOTICE", "number": number})
    log.close()


def findings(folder: pathlib.Path, db: database.Database, first_line: int = 1) -> list[str]:
    (found,) = audit_verification.verify(folder, db, first_line)
    return found.findings


def lines_of(folder: pathlib.Path) -> list[bytes]:
    return (folder / "audit-m.jsonl").read_bytes().splitlines(keepends=True)


# ---- what is written ------------------------------------------------------------------------------------------------


def test_lines_are_numbered_chained_private_and_go_on_after_a_restart(folder, db):
    write(folder, db, 3)
    write(folder, db, 2)
    parsed = [json.loads(line) for line in lines_of(folder)]
    assert [one["sequence"] for one in parsed] == [1, 2, 3, 4, 5]
    assert findings(folder, db) == []
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    with db.read() as connection:
        assert connection.execute(sa.select(audit_heads.c.sequence)).scalars().all() == [5]


def test_a_file_that_is_long_enough_is_put_aside_and_the_chain_goes_on(folder, db):
    write(folder, db, 40, max_bytes=2000)
    files = audit_log.files_of(folder, "m")
    assert len(files) > 3
    write(folder, db, 3, max_bytes=2000)
    assert findings(folder, db) == []
    files[0].unlink()
    first = json.loads(files[1].read_bytes().splitlines()[0])["sequence"]
    assert findings(folder, db) == [
        f"{files[1].name}, line 1: the log begins with line {first}; what was before is missing"
    ]
    assert findings(folder, db, first_line=first) == []
    files[2].unlink()
    assert findings(folder, db, first_line=first), "a file is missing in between"


def test_several_processes_write_one_chain(folder, db, tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path / "metadata.sqlite"), str(folder), "200"]
    writers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    write(folder, db, 1)
    assert findings(folder, db) == []
    assert len(lines_of(folder)) == 601
    with db.read() as connection:
        assert connection.execute(sa.select(audit_heads.c.sequence)).scalars().all() == [601]


def test_what_a_killed_writer_has_begun_is_no_line(folder, db):
    write(folder, db, 2)
    with (folder / "audit-m.jsonl").open("ab") as file:
        file.write(b'{"timestamp":"20')
    write(folder, db, 1)
    assert [json.loads(line)["sequence"] for line in lines_of(folder)] == [1, 2, 3]
    assert findings(folder, db) == []


def test_a_credential_in_an_entry_is_replaced(folder, db):
    log = open_log(folder, db)
    log.append({"protoPayload": {"request": {"displayName": "bxw_abcdefghijklmnop"}}})
    log.close()
    assert b"bxw_" not in lines_of(folder)[0] and findings(folder, db) == []


# ---- what is found --------------------------------------------------------------------------------------------------


def _edited(number: int) -> Callable[[list[bytes]], list[bytes]]:
    def edit(lines: list[bytes]) -> list[bytes]:
        lines[number] = lines[number].replace(b"NOTICE", b"NOTICF")
        return lines

    return edit


CHANGES = {
    "an edit at the beginning": _edited(0),
    "an edit in the middle": _edited(5),
    "an edit of the last line": _edited(-1),
    "a line that is no JSON": lambda lines: [*lines[:4], b"x" + lines[4], *lines[5:]],
    "the last line cut": lambda lines: lines[:-1],
    "the last line cut in its middle": lambda lines: [*lines[:-1], lines[-1][:30]],
    "half of the lines cut": lambda lines: lines[:5],
    "the first line cut": lambda lines: lines[1:],
    "a line cut": lambda lines: [*lines[:4], *lines[5:]],
    "two lines exchanged": lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]],
    "a line twice": lambda lines: [*lines[:4], lines[4], *lines[4:]],
    "an empty file": lambda lines: [],
}


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_a_change_is_found_before_and_after_more_is_written(folder, db, change):
    write(folder, db, 10)
    (folder / "audit-m.jsonl").write_bytes(b"".join(CHANGES[change](lines_of(folder))))
    assert findings(folder, db), change
    write(folder, db, 3)
    assert findings(folder, db), f"{change}: hidden by what came later"


def test_every_single_byte_counts(folder, db):
    write(folder, db, 3)
    path = folder / "audit-m.jsonl"
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert findings(folder, db), f"byte {place}"
    path.write_bytes(whole)
    assert findings(folder, db) == []


def test_a_file_that_is_taken_away_while_it_is_written_is_missed(folder, db):
    log = open_log(folder, db)
    for number in range(3):
        log.append({"number": number})
    (folder / "audit-m.jsonl").unlink()
    log.append({"number": 3})
    log.close()
    assert findings(folder, db)


def test_a_log_whose_files_are_gone_is_missed(folder, db):
    write(folder, db, 3)
    for path in folder.iterdir():
        path.unlink()
    assert findings(folder, db) == ["the log ends with line 0; the database knows line 3: its end was cut"]


# ---- a full disk ----------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m,mode=700", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        # no skip: where nobody may mount, the same is tested with /dev/full at both API servers
        pytest.xfail("this needs the right to mount a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def _fill(path: pathlib.Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return


def test_a_full_disk_stops_changes_and_loses_no_line(small_disk, db):
    folder = small_disk / "audit"
    log = open_log(folder, db)
    log.check()
    log.append({"number": 0})
    _fill(small_disk / "others")
    log.check()  # nobody knows yet
    for number in range(1, 100):  # calls that had begun
        log.append({"number": number, "text": "x" * 500})
    with pytest.raises(errors.ApiError) as refused:
        log.check()
    assert refused.value.code_name == "UNAVAILABLE"
    (small_disk / "others").unlink()
    log.check()
    log.append({"number": 100})
    log.close()
    assert findings(folder, db) == []
    assert len(lines_of(folder)) == 101


def test_where_nothing_can_be_written_that_is_said_afterwards(folder, db):
    log = open_log(folder, db)
    log.append({"number": 0})
    (folder / "audit-m.jsonl").rename(folder / "kept")
    (folder / "audit-m.jsonl").symlink_to("/dev/full")
    for _ in range(2):
        with pytest.raises(errors.ApiError) as refused:
            log.append({"number": 1})
        assert refused.value.code_name == "UNAVAILABLE"
    with pytest.raises(errors.ApiError):
        log.check()
    (folder / "audit-m.jsonl").unlink()
    (folder / "kept").rename(folder / "audit-m.jsonl")
    log.check()
    log.append({"number": 2})
    log.close()
    assert findings(folder, db) == []
    assert [json.loads(line).get("protoPayload", {}).get("methodName") for line in lines_of(folder)] == [
        None,
        "boxwright.audit.Resumed",
        None,
    ]

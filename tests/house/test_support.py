"""The support of the tests: its packages list their modules; ports are reserved; promptness is judged on a busy machine."""

from __future__ import annotations

import ast
import pathlib
import re
import socket
import subprocess
import sys

import pytest
from tests.support.machine import apt, connect_proxy, ports, waiting

ROOT = pathlib.Path(__file__).parents[2]
SUPPORT = ROOT / "tests" / "support"
PACKAGES = [SUPPORT, *(init.parent for init in sorted(SUPPORT.glob("*/__init__.py")))]
IDLE = "some avg10=0.00 avg60=0.00 avg300=0.00 total={}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"


def test_a_port_is_given_once_and_nothing_listens_on_it() -> None:
    given = [ports.free_port() for _ in range(50)]
    assert len(set(given)) == len(given)
    with socket.create_server(("127.0.0.1", given[0])):
        pass


def test_another_process_is_not_given_a_port_of_this_one() -> None:
    mine = ports.free_port()
    program = (
        "import sys; from tests.support.machine import ports; mine = int(sys.argv[1])\n"
        "order = iter([mine, mine, mine + 1, *range(ports.FIRST, ports.LAST)])\n"
        "ports._order.randrange = lambda *_: next(order)\n"
        "print(ports.free_port())"
    )
    command = [sys.executable, "-c", program, str(mine)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) != mine


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path):
    """Lets time pass, and so much of it wait for a core as the test says."""
    now_s = [1000.0]
    monkeypatch.setattr(waiting.time, "monotonic", lambda: now_s[0])
    monkeypatch.setattr(waiting, "PRESSURE", tmp_path)
    (tmp_path / "cpu").write_text(IDLE.format(0))
    (tmp_path / "io").write_text(IDLE.format(0))

    def passes(seconds: float, stalled_s: float = 0.0) -> None:
        now_s[0] += seconds
        (tmp_path / "cpu").write_text(IDLE.format(round(stalled_s * 1e6)))

    return passes


def test_what_is_slow_on_an_idle_machine_is_not_prompt(clock) -> None:
    with waiting.promptly(5):
        clock(4.9)
    with pytest.raises(AssertionError, match="is not prompt"), waiting.promptly(5):
        clock(5.1)


def test_time_that_something_waited_for_a_core_does_not_count_within_bounds(clock) -> None:
    with waiting.promptly(5):
        clock(30, stalled_s=26)
    with pytest.raises(AssertionError, match="is not prompt"), waiting.promptly(5):
        clock(5 * waiting.BUSY_FACTOR + 1, stalled_s=1000)


def test_where_nobody_counts_only_the_bound_holds(clock, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(waiting, "PRESSURE", tmp_path / "none")
    with waiting.promptly(5):
        clock(60)
    with pytest.raises(AssertionError, match="is not prompt"), waiting.promptly(5):
        clock(5 * waiting.BUSY_FACTOR + 1)


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: folder.name)
def test_a_packages_docstring_lists_its_modules(folder: pathlib.Path) -> None:
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    modules |= {path.parent.name for path in folder.glob("*/__init__.py")}
    assert set(re.findall(r"^ *(\w+)  ", docstring, re.MULTILINE)) == modules


def test_a_package_that_is_not_installed_is_missing() -> None:
    assert apt.missing("no-such-package-of-debian", "dpkg")[:1] == ["no-such-package-of-debian"]


def test_the_proxy_connects_what_it_was_told_and_refuses_all_else() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        connect_proxy.running({"named.example:443": listening.getsockname()[1]}) as url,
    ):
        place = ("127.0.0.1", int(url.rpartition(":")[2]))
        with socket.create_connection(place, timeout=30) as client:
            client.sendall(b"CONNECT named.example:443 HTTP/1.1\r\nHost: named.example:443\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")
            served, _ = listening.accept()
            with served:
                client.sendall(b"there")
                assert served.recv(100) == b"there"
                served.sendall(b"and back")
                assert client.recv(100) == b"and back"
        with socket.create_connection(place, timeout=30) as client:
            client.sendall(b"CONNECT localhost:443 HTTP/1.1\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 403 ")

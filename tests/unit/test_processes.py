"""Child processes that speak JSON lines: told, heard, and gone when they should be."""

from __future__ import annotations

import gc
import pathlib
import subprocess
import sys
import time

import psutil
import pytest
from tests.support.machine.waiting import PATIENCE_S

from boxwright import processes
from boxwright.processes import CHILD_NICENESS, NICENESS_VARIABLE, Child, ChildExitError, set_niceness

MODULE = "tests.support.processes.talking_child"


@pytest.fixture
def spawn():
    children = []

    def start(behaviour: str, **environment: str) -> Child:
        children.append(Child(MODULE, [behaviour], environment))
        return children[-1]

    yield start
    for child in children:
        child.close(grace_s=0)


def _next(child: Child) -> dict:
    event = child.next_event(timeout_s=PATIENCE_S)
    assert event is not None, "the child said nothing"
    return event


def test_a_child_hears_commands_and_is_heard(spawn):
    child = spawn("echo")
    child.send({"do": "this", "ä": 1})
    assert _next(child) == {"event": "heard", "line": '{"do": "this", "\\u00e4": 1}'}
    child.send_line("ünïcode")
    assert _next(child) == {"event": "heard", "line": "ünïcode"}


def test_a_child_that_says_nothing_in_time_gives_nothing(spawn):
    assert spawn("deaf").next_event(timeout_s=0) is None


def test_what_is_no_event_is_logged_and_skipped(spawn, caplog):
    assert _next(spawn("noise")) == {"event": "clear"}
    assert caplog.text.count("event=child_noise") == 2


def test_the_end_of_a_child_is_told_with_its_status_to_everybody_who_asks(spawn):
    child = spawn("dies")
    assert _next(child) == {"event": "last words"}
    for _ in range(3):
        with pytest.raises(ChildExitError, match=rf"{MODULE} \(pid {child.pid}\) ended with status 7"):
            child.next_event(timeout_s=PATIENCE_S)
    assert not child.is_alive()


def test_a_killed_child_is_told_by_its_signal(spawn):
    child = spawn("deaf")
    _next(child)
    psutil.Process(child.pid).kill()
    with pytest.raises(ChildExitError, match="was killed by signal 9"):
        child.next_event(timeout_s=PATIENCE_S)


def test_speaking_to_a_dead_child_says_that_it_is_dead(spawn):
    child = spawn("dies")
    child.close(grace_s=PATIENCE_S)
    with pytest.raises(ChildExitError, match="ended with status 7"):
        child.send({"do": "this"})


def test_a_child_that_listens_stops_by_itself(spawn):
    child = spawn("echo")
    child.send_line("hello")
    _next(child)
    child.stop(grace_s=PATIENCE_S)
    assert not child.is_alive()
    assert _next(child) == {"event": "stopping"}
    with pytest.raises(ChildExitError, match="ended with status 0"):
        child.next_event(timeout_s=PATIENCE_S)


def test_a_child_that_does_not_listen_is_killed_after_its_grace(spawn):
    child = spawn("deaf")
    _next(child)
    started_s = time.monotonic()
    child.stop(grace_s=0.2)
    assert not child.is_alive()
    assert time.monotonic() - started_s >= 0.2
    with pytest.raises(ChildExitError, match="was killed by signal 9"):
        child.next_event(timeout_s=PATIENCE_S)


def test_closing_twice_is_no_trouble(spawn):
    child = spawn("deaf")
    child.close(grace_s=0)
    child.close(grace_s=0)
    assert not child.is_alive()


@pytest.fixture(params=[None, 7])
def niceness(request, monkeypatch):
    """What was chosen; as long as nothing was, it is the lowest priority."""
    monkeypatch.delenv(NICENESS_VARIABLE, raising=False)
    if request.param is not None:
        monkeypatch.setenv(NICENESS_VARIABLE, "0")  # so that the former value comes back after the test
        set_niceness(request.param)
    return CHILD_NICENESS if request.param is None else request.param


def test_a_child_runs_at_lower_priority_in_a_session_of_its_own_with_the_variables_it_is_given(spawn, niceness):
    event = _next(spawn("environment", TALKING="yes"))
    assert event == {"event": "environment", "value": "yes", "niceness": niceness, "session": True}


def test_a_child_is_nice_also_where_sessions_are_weighed_before_processes(spawn, niceness):
    group = pathlib.Path(f"/proc/{spawn('deaf').pid}/autogroup")
    if group.exists():  # a kernel may be built without
        assert group.read_text().split()[-1] == str(niceness)
    else:
        assert not pathlib.Path("/proc/sys/kernel/sched_autogroup_enabled").exists()


CYCLE = """
import subprocess
import sys
from boxwright import processes
class Loud:
    def __del__(self):
        print("found", flush=True)
one = Loud()
one.itself = one
del one
if "quickly" in sys.argv:
    processes.end_quickly()
print("end", flush=True)
"""


@pytest.mark.parametrize(("words", "printed"), [((), "end\nfound\n"), (("quickly",), "end\n")])
def test_a_process_may_end_without_a_search_for_cycles(words: tuple[str, ...], printed: str) -> None:
    done = subprocess.run([sys.executable, "-c", CYCLE, *words], capture_output=True, text=True, check=True)
    assert done.stdout == printed


def test_imports_may_run_without_searches_for_cycles_also_if_they_fail() -> None:
    assert gc.isenabled()
    with pytest.raises(ImportError), processes.importing():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()

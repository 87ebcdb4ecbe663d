"""How often a bucket is called once its store says that this is too often, and how calls wait for it."""

from __future__ import annotations

import datetime
import http.server
import itertools
import random
import threading

import pytest
from google.rpc import code_pb2
from obstore import exceptions

from boxwright import errors, objects
from boxwright.batch import store_waits
from boxwright.objects import clouds, patience, store_errors, throttling
from boxwright.objects.patience import Patience, patiently
from boxwright.objects.throttling import Pace

URI = objects.ObjectUri.parse("s3://b/key")
NOW = datetime.datetime(2026, 1, 1, 12, 0, 0, tzinfo=datetime.UTC)


def refuses_to_say() -> None:
    return None


class Store:
    """A store that answers so many calls a second, on a clock of its own."""

    def __init__(self, per_s: float) -> None:
        self.now_s = 1000.0
        self.per_s = per_s
        self.tokens = 1.0
        self.pace = Pace("s3://b", clock=lambda: self.now_s)
        self.answered = self.throttled = 0

    def pause(self, seconds: float) -> None:
        self.pass_s(max(seconds, 1e-4))

    def pass_s(self, seconds: float) -> None:
        self.now_s += seconds
        self.tokens = min(self.per_s, self.tokens + seconds * self.per_s)

    def call(self) -> None:
        began_s = self.pace.begin(self.pause)
        self.pass_s(0.001)
        if self.tokens >= 1:
            self.tokens -= 1
            self.answered += 1
            self.pace.note_answer()
        else:
            self.throttled += 1
            self.pace.note_throttled(began_s, None, refuses_to_say)

    def run(self, seconds: float) -> tuple[float, float]:
        """Calls all the time; returns (answered, throttled) a second."""
        answered, throttled, until_s = self.answered, self.throttled, self.now_s + seconds
        while self.now_s < until_s:
            self.call()
        return (self.answered - answered) / seconds, (self.throttled - throttled) / seconds


@pytest.mark.parametrize("per_s", [8.0, 50.0, 400.0])
def test_a_bucket_is_called_about_as_often_as_it_allows_with_few_calls_wasted(per_s):
    store = Store(per_s)
    store.run(20)
    answered, throttled = store.run(60)
    assert answered > 0.75 * per_s
    assert throttled < 0.2 * answered


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_a_store_that_throttles_a_share_of_calls_however_few_is_not_called_ever_less(share):
    store, drawn = Store(1e9), random.Random(1)
    for _ in range(2000):
        began_s = store.pace.begin(store.pause)
        store.pass_s(0.01)
        if drawn.random() < share:
            store.pace.note_throttled(began_s, None, refuses_to_say)
        else:
            store.pace.note_answer()
    assert 2000 / (store.now_s - 1000.0) > 3 * throttling.LOWEST_PER_S


def test_a_pace_follows_a_store_that_takes_less_and_then_more_again_and_ends_without_throttled_answers():
    store = Store(200)
    store.run(20)
    store.per_s = 20
    store.run(10)
    assert store.run(20)[1] < 8
    store.per_s = 200
    store.run(60)
    assert store.run(20)[0] > 140
    store.per_s = 1e9
    store.run(throttling.FREE_AFTER_S + 1)
    assert store.pace.snapshot().per_s is None
    assert not store.pace.snapshot().is_throttling


def test_a_store_that_was_away_for_long_is_soon_called_as_often_as_before():
    store = Store(200)
    store.run(20)
    store.per_s = store.tokens = 0.0
    store.run(10)
    assert store.run(50)[1] <= 2 * throttling.LOWEST_PER_S
    store.per_s = 200
    assert store.run(10)[0] > 80


def test_throttled_answers_to_calls_that_were_under_way_slow_down_once():
    store = Store(100)
    store.run(5)
    began_s = store.now_s
    store.pace.note_throttled(began_s, None, refuses_to_say)
    store.pass_s(throttling.ROUND_S)
    store.pace.note_throttled(store.now_s, None, refuses_to_say)
    per_s = store.pace.snapshot().per_s
    store.pass_s(throttling.ROUND_S)
    for _ in range(30):
        store.pace.note_throttled(began_s, None, refuses_to_say)
    assert store.pace.snapshot().per_s == per_s


def test_a_store_is_left_alone_for_as_long_as_it_says_and_not_for_days():
    for asked_s, left_s in ((7.0, 7.0), (1e6, throttling.LONGEST_CLOSED_S)):
        store = Store(100)
        store.pace.note_throttled(store.now_s, asked_s, refuses_to_say)
        then_s = store.now_s
        assert store.pace.begin(store.pause) - then_s >= left_s
        assert store.now_s - then_s < left_s + 1


def test_a_store_is_asked_now_and_then_when_it_may_be_called():
    store, asked = Store(100), []
    for _ in range(100):
        store.pace.note_throttled(store.now_s, None, lambda: asked.append(store.now_s))
        store.pass_s(1.0)
    assert len(asked) == 1 + 100 // int(throttling.ASK_EVERY_S)


def test_buckets_have_a_pace_each_that_all_stores_of_a_process_share():
    first = throttling.pace_of("s3://b", "http://one")
    assert throttling.pace_of("s3://b", "http://one") is first
    assert throttling.pace_of("s3://b", "http://two") is not first
    first.note_throttled(0.0, None, refuses_to_say)
    assert throttling.pace_of("s3://other", "http://one").snapshot().per_s is None
    for number in range(throttling.MAX_BUCKETS + 10):
        throttling.pace_of(f"s3://many-{number}", "http://one")
    assert len(throttling.snapshot()) == throttling.MAX_BUCKETS


# ---- waiting ----------------------------------------------------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses take no time."""
    monkeypatch.setattr(patience.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(patience, "LONGEST_WAIT_S", 1e-6)
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 1e-6)


def _throttled(times: int, status: int = 503):
    calls = itertools.count()

    def call() -> str:
        if next(calls) < times:
            raise store_errors.StatusError(status, "Slow Down")
        return "answer"

    return call


def test_work_that_goes_on_waits_longer_than_for_other_trouble(at_once):
    pace = Pace("s3://b", clock=iter(float(n) for n in range(10**6)).__next__)
    assert patiently(_throttled(50), Patience(0.0, endures=True), pace) == "answer"
    with pytest.raises(store_errors.StatusError):
        patiently(_throttled(50), Patience(0.0), pace)
    with pytest.raises(store_errors.StatusError):
        patiently(_throttled(50, 500), Patience(0.0, endures=True), pace)
    assert (pace.snapshot().throttled, pace.snapshot().answered) == (51, 1)


def test_an_object_that_alone_is_throttled_for_long_is_given_up(at_once, monkeypatch):
    monkeypatch.setattr(patience, "STUCK_S", 0.0)
    pace = Pace("s3://b", clock=iter(float(n) for n in range(10**6)).__next__)
    calls = []

    def call() -> None:
        calls.append(1)
        for _ in range(10):
            pace.note_answer()  # of other objects
        raise store_errors.StatusError(503, "Service Unavailable")

    with pytest.raises(store_errors.StatusError):
        patiently(call, Patience(1.0, endures=True), pace)
    assert len(calls) == patience.STUCK_ATTEMPTS


def test_who_is_stopped_or_left_behind_waits_no_longer():
    pace, stop = Pace("s3://b"), threading.Event()
    waiting = Patience(1.0, endures=True, should_stop=stop.is_set)

    def call() -> None:
        stop.set()
        raise store_errors.StatusError(429, "Too Many Requests")

    with pytest.raises(objects.WaitEndedError) as ended:
        patiently(call, waiting, pace)
    assert ended.value.code == code_pb2.ABORTED
    seen, is_over = [], threading.Event()

    def left_behind() -> None:
        try:
            patiently(_throttled(10**9), Patience(1.0, endures=True), pace)
        except BaseException as error:
            seen.append(type(error))
            is_over.set()

    def raise_if_stopped() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        patience.stoppably(left_behind, raise_if_stopped)
    assert is_over.wait(60) and seen == [objects.WaitEndedError]


# ---- which answers ----------------------------------------------------------------------------------------------

ANSWER = "Generic S3 error: Error performing {} http://h/b/{} in 1ms - Server returned {}"


@pytest.mark.parametrize(
    ("text", "is_throttled"),
    [
        (ANSWER.format("GET", "k", "non-2xx status code: 503 Service Unavailable: <Code>SlowDown</Code>"), True),
        (ANSWER.format("HEAD", "k", "non-2xx status code: 429 Too Many Requests: "), True),
        (ANSWER.format("POST", "?delete", "error response: <DeleteResult><Code>SlowDown</Code></DeleteResult>"), True),
        (ANSWER.format("GET", "SlowDown%20503", "non-2xx status code: 500 Internal Server Error: "), False),
        (ANSWER.format("GET", "k", "non-2xx status code: 500: <Code>SlowDown</Code>"), False),
        (ANSWER.format("GET", "k", "non-2xx status code: 504 Gateway Timeout"), False),
        (
            "Generic S3 error: Error performing GET http://h/b/SlowDown in 1ms - HTTP error: error sending request",
            False,
        ),
    ],
)
def test_what_says_that_calls_are_too_many(text, is_throttled):
    error = exceptions.GenericError(text)
    assert store_errors.is_throttled(error) is is_throttled
    assert store_errors.is_transient(error)
    assert not store_errors.is_throttled(errors.unavailable("503"))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 120 ", 120.0),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("9" * 400, 999999.0),
        ("-1", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("１２", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(value, seconds):
    assert store_errors.retry_after_s(value, NOW) == seconds


class _Busy(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(503 if "X-Amz-Signature=" in self.path else 400)
        self.send_header("Retry-After", "9")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def test_a_store_is_asked_for_the_header_that_the_client_library_keeps_to_itself(monkeypatch):
    with http.server.HTTPServer(("127.0.0.1", 0), _Busy) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        environment = {"ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "REGION": "us-east-1"}
        for name, value in {**environment, "ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        cloud = clouds.Cloud("s3", 1.0)
        assert cloud.ask_when(URI) == 9.0
        thread.join()
    assert cloud.ask_when(URI) is None  # nobody answers
    assert clouds.Cloud("gs", 1.0).ask_when(objects.ObjectUri.parse("gs://b/key")) is None


def test_a_process_tells_how_many_calls_wait_and_were_throttled(monkeypatch):
    monkeypatch.setattr(store_waits, "EVERY_S", 0.01)
    told, ended, pace = [], threading.Event(), throttling.pace_of("s3://told", "http://one")
    counts = iter([3, 3, 8, 8])

    def count() -> int:
        found = next(counts, None)
        if found is None:
            ended.set()
        return found or 8

    pace.waits(10**6)
    store_waits.tell(lambda event, **values: told.append({"event": event, **values}), count, ended).join(60)
    pace.waits(-(10**6))
    waiting = {"event": "throttled", "bucket": "s3://told", "waiting": 10**6}
    assert told == [{**waiting, "throttled": more} for more in (3, 0, 5, 0, 0)]

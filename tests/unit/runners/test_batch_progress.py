"""Progress in numbers: the rate is that of the last seconds, and what was found finished does not count."""

from __future__ import annotations

from boxwright.runners.batch_progress import WAITS_S, WINDOW_S, BatchProgress


class Clock:
    """Seconds that the test lets pass."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def _event(done: int, *, found: int = 0, total: int = 1000, **more: object) -> dict[str, object]:
    return {"event": "progress", "done": done, "failed": 1, "found": found, "estimated_images": total, **more}


def test_nothing_is_said_before_the_first_image_and_no_rate_before_it_means_anything():
    clock = Clock()
    progress = BatchProgress(clock)
    progress.note({"event": "alive"})
    assert progress.numbers() == {}
    progress.note(_event(5, exact=False))
    numbers = progress.numbers()
    assert (numbers.pop("elapsed_s"), numbers.pop("tried"), set(numbers.pop("stages").values())) == (0, 5, {0})
    assert numbers.pop("amounts") == {"images": 0, "bytes": 0, "pixels": 0}
    assert numbers == {
        "done": 5, "failed": 1, "total": 1000, "total_is_exact": False, "images_per_s": None, "eta_s": None,
    }  # fmt: skip


def test_nothing_is_guessed_before_the_list_is_looked_at():
    progress = BatchProgress(Clock())
    progress.note({**_event(0), "estimated_images": None, "exact": False})
    assert (progress.numbers()["total"], progress.numbers()["eta_s"]) == (None, None)


def test_what_it_took_adds_up_over_children_and_attempts():
    clock = Clock()
    before = {"elapsed_s": 10, "tried": 100, "stages": {"decoding": 4.0}, "images_per_s": 7}
    progress = BatchProgress(clock, before)
    progress.begin_child()
    clock.now_s += 5
    progress.note(_event(150, found=100, stages={"decoding": 1.0, "network": 2.5}))
    progress.begin_child()  # the first one has died
    clock.now_s += 5
    progress.note(_event(150, found=130, stages={"decoding": 1.0, "network": 4.5}))
    halfway = progress.ended()
    assert (halfway["elapsed_s"], halfway["tried"], halfway["images_per_s"]) == (20, 170, 8.5)
    done = {"event": "done", "images": 160, "failed": 2, "found": 130, "stages": {"decoding": 1.5, "network": 5.0}}
    final = progress.final(done)
    assert (final["done"], final["failed"], final["total"], final["tried"]) == (160, 2, 160, 180)
    assert (final["elapsed_s"], final["images_per_s"]) == (20, 9)
    assert {stage: spent_s for stage, spent_s in final["stages"].items() if spent_s} == {
        "decoding": 6.5,
        "network": 7.5,
    }
    assert final["bottleneck"] == "network"


def test_failures_are_counted_by_reason_with_the_first_in_the_order_of_the_list():
    progress = BatchProgress(Clock())
    progress.note(_event(9))
    progress.note_failures(3, {"INVALID_ARGUMENT": 1}, [[3, "c"]])
    progress.note_failures(2, {"NOT_FOUND": 25, "INVALID_ARGUMENT": 1}, [[3, "b"], [5, "x" * 1000]])
    progress.note_failures(1, {"NOT_FOUND": 1}, [[5, "a"]])
    assert progress.numbers()["failures"] == [
        {"code": "NOT_FOUND", "images": 26, "first": "a"},
        {"code": "INVALID_ARGUMENT", "images": 2, "first": "b"},
    ]
    progress.begin_child()
    progress.note(_event(1))
    assert "failures" not in progress.numbers(), "what is found again is said again"


def test_the_rate_is_that_of_the_last_seconds_and_falls_when_the_work_stalls():
    clock = Clock()
    progress = BatchProgress(clock)
    for second in range(60):  # ten a second, then a hundred
        clock.now_s += 1
        progress.note(_event(10 * second if second < 30 else 300 + 100 * (second - 30), total=10_000))
    assert progress.numbers()["images_per_s"] == 100
    assert progress.numbers()["eta_s"] == (10_000 - 3200) / 100
    for _ in range(int(WINDOW_S) + 1):
        clock.now_s += 1
        progress.note({"event": "alive"})
    assert (progress.numbers()["images_per_s"], progress.numbers()["eta_s"]) == (0, None)


def test_what_an_earlier_attempt_had_finished_says_nothing_about_the_rate():
    clock = Clock()
    progress = BatchProgress(clock)
    progress.note(_event(0))
    for second in range(1, 5):
        clock.now_s += 1
        progress.note(_event(500 + 2 * second, found=500, bottleneck="decoding", exact=True))
    numbers = progress.numbers()
    assert (numbers["images_per_s"], numbers["eta_s"]) == (2, round((1000 - 508) / 2, 1))
    assert (numbers["bottleneck"], numbers["total_is_exact"]) == ("decoding", True)


def test_images_of_one_colour_are_counted_where_there_are_some():
    progress = BatchProgress(Clock())
    progress.note(_event(5, one_colour=0))
    assert "images_of_one_colour" not in progress.numbers()
    progress.note(_event(9, one_colour=2))
    assert progress.numbers()["images_of_one_colour"] == 2
    done = {"event": "done", "images": 9, "failed": 1, "one_colour": 2}
    assert progress.final(done)["images_of_one_colour"] == 2
    assert "images_of_one_colour" not in progress.final({**done, "one_colour": 0})


def test_a_bucket_that_is_waited_for_is_named_for_a_while():
    clock = Clock()
    progress = BatchProgress(clock)
    waiting = {"event": "throttled", "bucket": "s3://b", "waiting": 3, "throttled": 9}
    progress.note(waiting)
    assert progress.numbers() == {"waits_for": "s3://b"}
    progress.note(_event(5))
    assert progress.numbers()["waits_for"] == "s3://b"
    clock.now_s += WAITS_S
    progress.note({**waiting, "waiting": 0})
    assert "waits_for" not in progress.numbers()

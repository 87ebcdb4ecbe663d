"""Progress in numbers: the rate is that of the last seconds, and what was found finished does not count."""

from __future__ import annotations

from boxwright.runners.batch_progress import WINDOW_S, BatchProgress


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
    assert progress.numbers() == {
        "done": 5, "failed": 1, "total": 1000, "total_is_exact": False, "images_per_s": None, "eta_s": None,
    }  # fmt: skip


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

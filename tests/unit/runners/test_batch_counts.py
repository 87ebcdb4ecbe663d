from __future__ import annotations

from tests.support.operations.scraped import samples

from boxwright.batch.engine import stages
from boxwright.runners.batch_counts import BatchCounts
from boxwright.runners.host_counts import HostCounts
from boxwright.telemetry.metrics import Metrics


def test_what_an_earlier_attempt_has_finished_is_found_and_its_images_are_not_counted_again() -> None:
    metrics = Metrics()
    counts = BatchCounts(metrics)
    shard = {"event": "shard", "predicted": 7, "errors_by_code": {"NOT_FOUND": 2, "INVALID_ARGUMENT": 1}}
    counts.note({**shard, "is_found": True})
    counts.note({**shard, "is_found": False})
    told = samples(metrics)
    assert told["boxwright_shards_total", "found"] == told["boxwright_shards_total", "committed"] == 1
    images = {key[1]: value for key, value in told.items() if key[0] == "boxwright_images_total" and value}
    assert images == {"predicted": 7, "NOT_FOUND": 2, "INVALID_ARGUMENT": 1}


def test_times_are_sums_of_a_child_and_begin_anew_with_the_next_one() -> None:
    metrics = Metrics()
    for spent_s in ((1.0, 3.0, 2.5), (2.0, 2.0, 2.0)):  # a sum that falls counts nothing
        counts = BatchCounts(metrics)
        for now_s in spent_s:
            counts.note({"event": "progress", "stages": {stages.DECODING: now_s}})
        counts.note({"event": "alive"})
    assert samples(metrics)["boxwright_image_stage_seconds_total", "decoding"] == 3.0 + 2.0


def test_throttled_calls_are_added_up() -> None:
    metrics = Metrics()
    counts = BatchCounts(metrics)
    for throttled in (3, 0, 4):
        counts.note({"event": "throttled", "bucket": "s3://b", "waiting": 1, "throttled": throttled})
    assert samples(metrics)["boxwright_store_throttled_total",] == 7


def test_hosts_of_jobs_that_share_a_driver_are_counted_once_and_go_with_the_last_job() -> None:
    metrics = Metrics()
    hosts = HostCounts(metrics)
    first, second = BatchCounts(metrics, hosts), BatchCounts(metrics, hosts)
    first.note({"event": "hosts", "there": 2, "wanted": 4, "lost": 0, "refused": 1})
    second.note({"event": "hosts", "there": 3, "wanted": 4, "lost": 2, "refused": 0})
    told = samples(metrics)
    assert (told["boxwright_hosts",], told["boxwright_hosts_wanted",]) == (3, 4)
    assert told["boxwright_host_losses_total", "lost"] == 2
    assert told["boxwright_host_losses_total", "refused"] == 1
    second.end()
    first.end()
    told = samples(metrics)
    assert told["boxwright_hosts",] == told["boxwright_hosts_wanted",] == 0
    assert told["boxwright_host_losses_total", "lost"] == 2

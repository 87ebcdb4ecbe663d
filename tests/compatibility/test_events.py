"""Events of batch predictions, by the official client: a receiver that checks them as docs/events.md says, and folders."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.api_core import exceptions
from tests.support.clients.api import open_api
from tests.support.documents import code_blocks
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import TinyModel
from tests.support.services.receiver import Receiver

from boxwright import cli

PAGE = code_blocks.ROOT / "docs" / "events.md"
SOURCE = "gs://b/list.csv"


@pytest.fixture
def receiver(tmp_path: pathlib.Path) -> Iterator[Receiver]:
    with Receiver(tmp_path) as opened:
        yield opened


@pytest.fixture
def service(service_factory: Callable[..., Any], receiver: Receiver) -> Any:
    hosts = f"localhost:{receiver.port},127.0.0.1,::1"
    started = service_factory({"BOXWRIGHT_NOTIFY_HOSTS": hosts, "BOXWRIGHT_NOTIFY_CA": str(receiver.ca_file)})
    bucket = started.bucket("b")
    (bucket / "1.jpg").write_bytes(drawn_images.draw(1, boxes=1).content)
    drawn_images.write_csv(bucket, "list.csv", ["gs://b/1.jpg"])
    return started


def test_a_receiver_hears_of_a_job_and_knows_that_it_is_the_service(
    service, receiver: Receiver, tiny_classifier: TinyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny_classifier.install(service.data_dir, "ICN7400000000000000001")
    with open_api(service) as api:
        name = api.start_batch(model, SOURCE, "gs://b/out/", notify=f"{receiver.url}/hook, gs://b/events/")
        assert not api.finished(name).HasField("error")
        wait_until(lambda: len(receiver.received) == 2, "two events")
        progress = api.progress(name)
        for notify in ("https://elsewhere.example/", "http://localhost/", "gs://b/file.json", "a,b,c,d,e,f", ""):
            with pytest.raises(exceptions.BadRequest, match=r"params\.notify"):
                api.start_batch(model, SOURCE, "gs://b/out/", notify=notify)
    assert cli.main(["events", "secret", "demo", "--data-dir", str(service.data_dir)]) == 0
    secret = capsys.readouterr().out.strip()
    assert cli.main(["events", "secret", "another", "--data-dir", str(service.data_dir)]) == 0
    others = capsys.readouterr().out.strip()
    page: dict[str, Any] = {}
    exec(code_blocks.read(PAGE, "python")[0].code, page)
    for one, word in zip(receiver.received, ("started", "succeeded"), strict=True):
        assert page["is_genuine"](one.headers, one.body, secret)
        assert not page["is_genuine"](one.headers, one.body + b" ", secret)
        assert not page["is_genuine"](one.headers, one.body, others)
        assert not page["is_genuine"]({**one.headers, "webhook-timestamp": "1700000000"}, one.body, secret)
        event = json.loads(one.body)
        assert (event["type"], event["subject"]) == (f"boxwright.operation.{word}", name)
    data = event["data"]
    assert (data["state"], data["done"], data["model"]) == ("SUCCEEDED", 1, model)
    assert data["output_directory"].startswith("gs://b/out/prediction-")
    assert {key: data[key] for key in ("done", "failed", "create_time")} == {
        key: progress[key] for key in ("done", "failed", "create_time")
    }
    operation_id = name.rpartition("/")[2]
    files = sorted(path.name for path in (service.bucket("b") / "events").iterdir())
    assert files == [f"{operation_id}-started.json", f"{operation_id}-succeeded.json"]

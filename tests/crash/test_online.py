"""The process that decodes the images of Predict: what its end costs, what it can see, and that it goes with the service."""

from __future__ import annotations

import pathlib
import signal
import threading
import time
from concurrent import futures

import psutil
import pytest
from google.api_core import exceptions
from tests.support.clients.api import Api, open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes import crashes

CALLERS = 50
REQUEST_THREADS = 16  # the default: so many calls are under way at once at most
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "hushaws",
    "AZURE_STORAGE_ACCOUNT_KEY": "hushazure",
    "GOOGLE_SERVICE_ACCOUNT_KEY": "hushgoogle",
    "SOME_PASSWORD": "hushmine",
}


def _faults(folder: pathlib.Path, faults: str) -> tuple[dict[str, str], pathlib.Path]:
    marks = folder / "marks"
    marks.mkdir()
    return {"BOXWRIGHT_FAULTS": faults, "BOXWRIGHT_FAULTS_ONCE": str(marks)}, marks


def _deploy(api: Api, service, tiny_model: TinyModel) -> str:
    model = tiny_model.install(service.data_dir)
    metadata = {"node_count": 2}
    api.automl.deploy_model(
        request={"name": model, "image_object_detection_model_deployment_metadata": metadata}
    ).result()
    return model


def _predict(api: Api, model: str, seed: int = 0) -> list[tuple]:
    payload = {"image": {"image_bytes": drawn_images.draw(seed).content}}
    answer = api.prediction.predict(name=model, payload=payload, params={"score_threshold": "0"}, timeout=300)
    return [(one.display_name, one.image_object_detection.score) for one in answer.payload]


def _process(service) -> psutil.Process:
    (process,) = crashes.children_of(service.process.pid, crashes.ONLINE)
    return process


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT], ids=lambda one: one.name)
def test_a_process_that_ends_during_a_call_costs_that_call_and_neither_server(
    number: signal.Signals, service_factory, tiny_model: TinyModel, tmp_path
):
    faults, marks = _faults(tmp_path, "online.before_decode:hang@2")
    service = service_factory(environment=faults)
    with open_api(service) as grpc_api, open_api(service, "rest") as rest_api, futures.ThreadPoolExecutor(1) as pool:
        model = _deploy(grpc_api, service, tiny_model)
        before = _predict(grpc_api, model)
        assert before
        asked = pool.submit(_predict, grpc_api, model)
        wait_until(lambda: list(marks.iterdir()), "the second image at its decoder")
        process = _process(service)
        process.send_signal(number)
        with pytest.raises(exceptions.ServiceUnavailable, match="ended while it had this image"):
            asked.result(300)
        assert _predict(grpc_api, model) == before
        assert _predict(rest_api, model) == before
        assert service.process.poll() is None
    assert f"event=prediction_process_ended how='the child process {crashes.ONLINE}" in service.tail()
    assert f"killed by signal {int(number)}" in service.tail()


def test_a_decoder_that_crashes_costs_one_call_and_one_that_hangs_is_ended(
    service_factory, tiny_model: TinyModel, tmp_path
):
    faults, _ = _faults(tmp_path, "online.before_decode:kill@3")
    service = service_factory(environment=faults)
    with open_api(service, "rest") as api:
        model = _deploy(api, service, tiny_model)
        before = [_predict(api, model, seed) for seed in range(2)]
        with pytest.raises(exceptions.ServiceUnavailable):
            _predict(api, model)
        assert [_predict(api, model, seed) for seed in range(2)] == before
    service.stop()
    (tmp_path / "again").mkdir()
    faults, _ = _faults(tmp_path / "again", "online.before_decode:hang@3")
    service = service_factory(environment={**faults, "BOXWRIGHT_PREDICT_TIMEOUT_S": "0.5"})
    with open_api(service, "rest") as api:
        assert [_predict(api, model, seed) for seed in range(2)] == before
        with pytest.raises(exceptions.GatewayTimeout, match=r"not decoded within 0\.5 s"):
            _predict(api, model)
        assert [_predict(api, model, seed) for seed in range(2)] == before


def test_of_fifty_callers_only_those_under_way_notice_that_the_process_was_killed(
    service_factory, tiny_model: TinyModel
):
    service = service_factory()
    begun_s: list[float] = []
    refused: list[tuple[float, Exception]] = []
    answered = threading.Semaphore(0)
    is_over = threading.Event()
    with open_api(service) as api:
        model = _deploy(api, service, tiny_model)
        expected = [_predict(api, model, seed) for seed in range(5)]

        def call(caller: int) -> int:
            count = 0
            while not is_over.is_set():
                started_s = time.monotonic()
                begun_s.append(started_s)
                try:
                    assert _predict(api, model, caller % 5) == expected[caller % 5]
                except exceptions.GoogleAPICallError as error:
                    refused.append((started_s, error))
                count += 1
                answered.release()
            return count

        with futures.ThreadPoolExecutor(CALLERS) as pool:
            running = [pool.submit(call, caller) for caller in range(CALLERS)]
            ends_s = []
            for _ in range(3):
                for _ in range(2 * CALLERS):
                    assert answered.acquire(timeout=300)
                before = len(refused)
                process = _process(service)
                process.kill()
                wait_until(lambda gone=process: not gone.is_running(), "the end of the process")
                ends_s.append(time.monotonic())
                for _ in range(3 * CALLERS):  # everybody has called again since
                    assert answered.acquire(timeout=300)
                assert len(refused) - before <= REQUEST_THREADS
            is_over.set()
            counts = [one.result(300) for one in running]
    assert all(isinstance(error, exceptions.ServiceUnavailable) for _, error in refused), refused
    assert all("ended while it had this image" in str(error) for _, error in refused)
    late = [started_s for started_s, _ in refused if not any(started_s < end_s for end_s in ends_s)]
    assert not late
    assert sum(counts) == len(begun_s) > 15 * CALLERS // 2


def test_it_has_no_secret_in_its_environment_arguments_or_open_files(service_factory, tiny_model: TinyModel):
    service = service_factory(environment=SECRETS | {"BOXWRIGHT_SCHEMES": "gs,s3"})
    with open_api(service) as api:
        model = _deploy(api, service, tiny_model)
        _predict(api, model)
        process = _process(service)
        assert "hushaws" in (pathlib.Path("/proc") / str(service.process.pid) / "environ").read_text()
        proc = pathlib.Path("/proc") / str(process.pid)
        text = (proc / "environ").read_text() + (proc / "cmdline").read_text()
        assert "hush" not in text
        assert not [name for name in SECRETS if name in text]
        assert "BOXWRIGHT_" not in text.replace("BOXWRIGHT_CHILD_NICENESS", "")
        targets = [str(link.readlink()) for link in (proc / "fd").iterdir()]
        strange = [
            target
            for target in targets
            if not target.startswith(("pipe:", "socket:", "anon_inode:", "/dev/null", str(service.log)))
        ]
        assert not strange, strange
        assert not process.net_connections(kind="inet")
        # of the sockets that it has, the other end is the service's: one for control, one for each call at once
        assert sum(target.startswith("socket:") for target in targets) == 2


@pytest.mark.parametrize("state", ["idle", "hanging", "stopped"])
def test_it_ends_with_a_service_that_is_killed(state: str, service_factory, tiny_model: TinyModel, tmp_path):
    faults, marks = _faults(tmp_path, "online.before_decode:hang@2")
    service = service_factory(environment=faults)
    with open_api(service) as api, futures.ThreadPoolExecutor(1) as pool:
        model = _deploy(api, service, tiny_model)
        _predict(api, model)
        process = _process(service)
        if state == "hanging":
            asked = pool.submit(_predict, api, model)
            wait_until(lambda: list(marks.iterdir()), "the second image at its decoder")
        if state == "stopped":  # it cannot notice anything
            process.suspend()
        service.kill()
        crashes.wait_until_gone([process])
        if state == "hanging":
            with pytest.raises(exceptions.GoogleAPICallError):
                asked.result(300)


def test_a_service_that_is_told_to_stop_answers_the_calls_under_way(service_factory, tiny_model: TinyModel):
    service = service_factory()
    with open_api(service) as api, futures.ThreadPoolExecutor(8) as pool:
        model = _deploy(api, service, tiny_model)
        expected = _predict(api, model)
        process = _process(service)
        outcomes = [pool.submit(_predict, api, model) for _ in range(8)]
        futures.wait(outcomes, return_when=futures.FIRST_COMPLETED)
        process.terminate()  # as a supervisor does that ends all processes of a service at once
        assert service.stop() == 0
        for outcome in outcomes:
            try:
                assert outcome.result(300) == expected
            except (exceptions.ServiceUnavailable, exceptions.Cancelled) as refused:  # it came too late
                assert "ended while" not in str(refused)
    crashes.wait_until_gone([process])

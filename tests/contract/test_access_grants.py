"""Bucket grants in running services: requests, every image that a list names, revocation, resuming, crashes."""

from __future__ import annotations

import contextlib
import json
import pathlib
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest
from google.rpc import code_pb2
from tests.support.access.credentials import Account
from tests.support.access.guarded_service import LOCATION, GuardedService, run_guarded_service
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import MODEL_NAME, TinyModel

from boxwright.objects.grants import READ, WRITE

IMAGES, ELSEWHERE = 50, 7
HANGS = (20, 21)  # images at which a batch stops, for each of two threads
# which images are audited differs from run to run
ONE = {"cores": "1", "tune": "false", "shard_images": "10", "hold_s": "0", "reuse_audit": "0"}


def _prepare(folder: pathlib.Path, tiny_model: TinyModel) -> None:
    """A list of 50 images, of which every seventh is in another folder, with a near name, or in another bucket."""
    photos, rows = folder / "buckets" / "photos", []
    names = drawn_images.write_images(photos / "in", IMAGES)
    for bucket, prefix in (("photos", "in2"), ("foreign", "in")):
        drawn_images.write_images(folder / "buckets" / bucket / prefix, IMAGES)
    (photos / "out").mkdir()
    (photos / "lists").mkdir()
    for number, name in enumerate(names):
        elsewhere = "gs://photos/in2" if number % 14 == 3 else "gs://foreign/in"
        rows.append(f"{elsewhere if number % 7 == 3 else 'gs://photos/in'}/{name}")
    assert sum("gs://photos/in/" not in row for row in rows) == ELSEWHERE
    drawn_images.write_csv(photos, "lists/list.csv", rows)
    drawn_images.write_csv(photos, "lists/import.csv", [f"UNASSIGNED,{row}" for row in rows])
    (folder / "data").mkdir()
    tiny_model.install(folder / "data")


def _hanging(folder: pathlib.Path) -> dict[str, str]:
    """Settings by which the first attempt stops in the middle."""
    (folder / "marks").mkdir()
    points = [f"image gs://photos/in/{number:04d}.jpg:hang@*" for number in HANGS]
    return {"faults": ",".join(points), "faults_once": str(folder / "marks")}


def _wait_until_stuck(folder: pathlib.Path) -> None:
    for number in HANGS:
        mark = folder / "marks" / urllib.parse.quote(f"image gs://photos/in/{number:04d}.jpg", safe="")
        wait_until(mark.exists, f"the fault at image {number}")


def member(service: GuardedService, name: str, *, folders: dict[str, str] | None = None) -> Account:
    """An account that may edit in the project, read the lists and images, and write results."""
    account = service.registry.account(name)
    service.registry.grant(account.member, "roles/automl.editor", "projects/demo")
    usual = {"gs://photos/in/": "r", "gs://photos/lists/": "r", "gs://photos/out/": "w"}
    for folder, verbs in (usual if folders is None else folders).items():
        service.registry.grant_folder(account.member, folder, read="r" in verbs, write="w" in verbs)
    return account


def ask(
    service: GuardedService, account: Account, verb: str, path: str, body: Any = None
) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {account.signed()}"}
    answer = service.http.request(verb, f"/v1/{path}", json=body, headers=headers)
    return answer.status_code, answer.json()


def request(lists: str = "gs://photos/lists/list.csv", output: str = "gs://photos/out/") -> dict[str, Any]:
    return {
        "inputConfig": {"gcsSource": {"inputUris": [lists]}},
        "outputConfig": {"gcsDestination": {"outputUriPrefix": output}},
        "params": {"score_threshold": "0.1"},
    }


def begin(service: GuardedService, account: Account, **changes: str) -> str:
    code, operation = ask(service, account, "POST", f"{MODEL_NAME}:batchPredict", request(**changes))
    assert code == 200, operation
    return str(operation["name"])


def ended(service: GuardedService, name: str) -> dict[str, Any]:
    """An operation once it has ended, as the owner sees it."""

    def done() -> dict[str, Any] | None:
        code, operation = ask(service, service.owner, "GET", name)
        assert code == 200, operation
        return operation if operation.get("done") else None

    return wait_until(done, f"{name} to end")


def assert_denied(answer: tuple[int, dict[str, Any]], permission: str, address: str) -> None:
    code, body = answer
    assert code == 403, body
    error = body["error"]
    assert error["status"] == "PERMISSION_DENIED"
    assert error["message"].endswith(
        f"does not have {permission} access to the Google Cloud Storage object. Permission '{permission}' denied on "
        f"resource (or it may not exist). {address}"
    )
    assert error["details"] == [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "IAM_PERMISSION_DENIED",
            "domain": "storage.googleapis.com",
            "metadata": {"resource": address, "permission": permission},
        }
    ]


def lines(service: GuardedService, operation: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """The results and the errors in an operation's output folder, as parsed lines."""
    uri = operation["metadata"]["batchPredictDetails"]["outputInfo"]["gcsOutputDirectory"]
    folder = service.folder / "buckets" / uri.removeprefix("gs://")
    found = []
    for pattern in ("image_object_detection_*.jsonl", "errors_*.jsonl"):
        texts = [path.read_text() for path in sorted(folder.glob(pattern))]
        found.append([json.loads(line) for text in texts for line in text.splitlines()])
    return found[0], found[1]


def assert_43_and_7(service: GuardedService, operation: dict[str, Any]) -> None:
    assert "error" not in operation, operation
    results, failed = lines(service, operation)
    assert (len(results), len(failed)) == (IMAGES - ELSEWHERE, ELSEWHERE)
    assert all(line["ID"].startswith("gs://photos/in/") for line in results)
    for line in failed:
        assert not line["ID"].startswith("gs://photos/in/")
        assert line["status"]["code"] == code_pb2.PERMISSION_DENIED
        assert line["status"]["message"].endswith(line["ID"])


@contextlib.contextmanager
def _running(folder: pathlib.Path, tiny_model: TinyModel, **settings: str) -> Iterator[GuardedService]:
    _prepare(folder, tiny_model)
    with run_guarded_service(folder, **(ONE | settings)) as service:
        yield service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, tiny_model: TinyModel) -> Iterator[GuardedService]:
    with _running(tmp_path_factory.mktemp("grants"), tiny_model) as running:
        yield running


def test_what_a_request_names_is_judged_at_once_whether_it_is_there_or_not(service: GuardedService) -> None:
    ada = member(service, "ada")
    batch = f"{MODEL_NAME}:batchPredict"
    for address in (
        "gs://photos/in2/list.csv",
        "gs://photos/list.csv",
        "gs://foreign/in/list.csv",
        "gs://nowhere/list.csv",
        "gs://photos/in%2f../list.csv",
        "gs://photos/out/list.csv",
    ):
        assert_denied(ask(service, ada, "POST", batch, request(lists=address)), "storage.objects.get", address)
    for prefix, address in (
        ("gs://foreign/out/", "gs://foreign/out/"),
        ("gs://photos/out2", "gs://photos/out2/"),
        ("gs://photos/in/", "gs://photos/in/"),
        ("gs://photos/", "gs://photos/"),
        ("gs://nowhere/", "gs://nowhere/"),
    ):
        assert_denied(ask(service, ada, "POST", batch, request(output=prefix)), "storage.objects.create", address)
    output = {"outputConfig": {"gcsDestination": {"outputUriPrefix": "gs://foreign/out/"}}}
    export = {"outputConfig": output["outputConfig"] | {"modelFormat": "onnx"}}
    assert_denied(
        ask(service, ada, "POST", f"{MODEL_NAME}:export", export), "storage.objects.create", "gs://foreign/out/"
    )
    dataset = _dataset(service, ada)
    source = {"inputConfig": {"gcsSource": {"inputUris": ["gs://photos/lists/import.csv", "gs://foreign/in/list.csv"]}}}
    imported = ask(service, ada, "POST", f"{dataset}:importData", source)
    assert_denied(imported, "storage.objects.get", "gs://foreign/in/list.csv")
    exported = ask(service, ada, "POST", f"{dataset}:exportData", output)
    assert_denied(exported, "storage.objects.create", "gs://foreign/out/")
    for address in ("state://boxwright/x.csv", f"file://{service.data_dir}/x.csv", "gs://photos/../data/x.csv"):
        assert ask(service, ada, "POST", batch, request(lists=address))[0] == 400
    assert ask(service, ada, "GET", f"{LOCATION}/operations?filter=worksOn={MODEL_NAME}")[1].get("operations", []) == []


def _dataset(service: GuardedService, account: Account) -> str:
    body = {"displayName": "d", "imageObjectDetectionDatasetMetadata": {}}
    code, operation = ask(service, account, "POST", f"{LOCATION}/datasets", body)
    assert code == 200, operation
    return str(operation["response"]["name"])


def test_every_image_that_a_list_names_is_judged(service: GuardedService) -> None:
    bea = member(service, "bea")
    batch = ended(service, begin(service, bea))
    assert_43_and_7(service, batch)
    dataset = _dataset(service, bea)
    source = {"inputConfig": {"gcsSource": {"inputUris": ["gs://photos/lists/import.csv"]}}}
    code, operation = ask(service, bea, "POST", f"{dataset}:importData", source)
    assert code == 200, operation
    done = ended(service, operation["name"])
    assert "error" not in done, done
    failures = done["metadata"]["partialFailures"]
    assert [failure["code"] for failure in failures] == [code_pb2.PERMISSION_DENIED] * ELSEWHERE
    assert all("gs://foreign/in/" in one["message"] or "gs://photos/in2/" in one["message"] for one in failures)
    assert ask(service, bea, "GET", dataset)[1]["exampleCount"] == IMAGES - ELSEWHERE
    photos, foreign = "gs://photos/", "gs://foreign/"
    read = {(photos, READ, True), (photos, READ, False), (foreign, READ, False)}  # in2 is another folder of photos
    assert uses_of(service, bea, operation["name"]) == read
    assert uses_of(service, bea, batch["name"]) >= read | {(photos, WRITE, True)}


def uses_of(service: GuardedService, account: Account, operation: str) -> set[tuple[str, str, bool]]:
    """The buckets that the audit log names for an operation: address, permission, whether it was granted."""
    (path,) = (service.data_dir / "audit").glob("audit-*.jsonl")
    found = []
    for line in path.read_text().splitlines():
        payload = json.loads(line)["protoPayload"]
        if payload["methodName"] == "boxwright.operations.BucketUsed" and payload["resourceName"] == operation:
            assert payload["authenticationInfo"]["principalSubject"] == account.member
            (one,) = payload["authorizationInfo"]
            found.append((one["resource"], one["permission"], one["granted"]))
    assert len(set(found)) == len(found), "a line for the first use alone"
    return set(found)


def test_four_processes_judge_as_one(tmp_path: pathlib.Path, tiny_model: TinyModel) -> None:
    with _running(tmp_path, tiny_model, cores="4") as service:
        assert_43_and_7(service, ended(service, begin(service, member(service, "ada"))))


def test_a_kill_and_another_caller_who_resumes_change_nothing(tmp_path: pathlib.Path, tiny_model: TinyModel) -> None:
    with _running(tmp_path, tiny_model, **_hanging(tmp_path)) as service:
        ada, bea = member(service, "ada"), member(service, "bea")
        few = member(service, "few", folders={"gs://photos/in/": "r", "gs://photos/out/": "w"})
        name = begin(service, ada)
        _wait_until_stuck(tmp_path)
        service.kill_and_restart()
        assert_43_and_7(service, ended(service, name))
        for mark in (tmp_path / "marks").iterdir():
            mark.unlink()
        cancelled = begin(service, ada)
        _wait_until_stuck(tmp_path)
        ask(service, ada, "POST", f"{cancelled}:cancel", {})
        assert ended(service, cancelled)["error"]["code"] == code_pb2.CANCELLED
        denied = ask(service, few, "POST", f"{cancelled}:resume", {})
        assert_denied(denied, "storage.objects.get", "gs://photos/lists/list.csv")
        code, resumed = ask(service, bea, "POST", f"{cancelled}:resume", {})
        assert code == 200, resumed
        done = ended(service, resumed["name"])
        assert_43_and_7(service, done)
        holders = {line["status"]["message"].partition(" ")[0] for line in lines(service, done)[1]}
        assert bea.email in holders, "the rights of who has resumed it count"


@pytest.mark.parametrize(
    "how", [*(pytest.param(how, marks=pytest.mark.full) for how in ("list", "output", "disabled")), "images"]
)
def test_what_is_lost_while_work_runs_ends_it(how: str, tmp_path: pathlib.Path, tiny_model: TinyModel) -> None:
    with _running(tmp_path, tiny_model, lease_ttl_s="20", batch_jobs="1", **_hanging(tmp_path)) as service:
        ada = member(service, "ada")
        running, queued = begin(service, ada), begin(service, ada)
        _wait_until_stuck(tmp_path)
        lost = {"list": "gs://photos/lists/", "images": "gs://photos/in/", "output": "gs://photos/out/"}.get(how)
        if lost is None:
            service.registry.set_disabled(ada, True)
        else:
            service.registry.revoke_folder(ada.member, lost)
        error = ended(service, running)["error"]
        assert error["code"] == code_pb2.PERMISSION_DENIED, error
        assert (f" {lost}" if lost else ada.email) in error["message"]
        left = ended(service, queued)
        if how == "images":  # it may begin: its list says which images are not granted
            assert {line["status"]["code"] for line in lines(service, left)[1]} == {code_pb2.PERMISSION_DENIED}
        else:
            assert left["error"]["code"] == code_pb2.PERMISSION_DENIED
        assert service.process.poll() is None


def test_results_are_taken_over_only_from_a_folder_that_the_caller_may_read(service: GuardedService) -> None:
    blind = member(service, "uma")
    first = ended(service, begin(service, blind))
    folder = first["metadata"]["batchPredictDetails"]["outputInfo"]["gcsOutputDirectory"]
    usual = {"gs://photos/in/": "r", "gs://photos/lists/": "r", "gs://photos/out/": "rw"}
    seeing = member(service, "vic", folders=usual)
    for account, wish, reused in ((blind, "auto", 0), (blind, folder, 0), (seeing, folder, IMAGES - ELSEWHERE)):
        body = request() | {"params": {"score_threshold": "0.1", "reuse": wish}}
        code, operation = ask(service, account, "POST", f"{MODEL_NAME}:batchPredict", body)
        assert code == 200, operation
        done = ended(service, operation["name"])
        assert_43_and_7(service, done)
        said = done["response"]["metadata"]
        assert said["reused"] == str(reused), said
        assert ("nothing was taken over" in said["reuse"]) == (reused == 0)
    denied = ended(service, begin(service, member(service, "wes", folders={**usual, "gs://photos/in/": "w"})))
    assert "error" in denied  # who may read the base and not the images is given none of their results

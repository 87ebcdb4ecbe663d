"""Results of batch predictions become images of datasets, over HTTP, against a running service: what cannot be added."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.support.clients.api import open_api
from tests.support.images import drawn_images

from boxwright import kinds

IMAGES = 6
BAD = "text.jpg"


class Job:
    """A finished batch prediction of six images and a file that is none."""

    def __init__(self, service: Any, model: Any, what: str = "added") -> None:
        bucket = f"{what}-{model.kind.name.replace('_', '-')}"
        self.service, self.folder = service, service.bucket(bucket)
        self.model = model.install(service.data_dir, model.kind.prefix + f"{len(what)}" * 18)
        self.kind = model.kind
        names = drawn_images.write_images(self.folder / "images", IMAGES)
        (self.folder / "images" / BAD).write_bytes(b"no image")
        self.rows = [f"gs://{bucket}/images/{name}" for name in [*names, BAD]]
        drawn_images.write_csv(self.folder, "list.csv", self.rows)
        with open_api(service) as api:
            self.name = api.start_batch(
                self.model, f"gs://{bucket}/list.csv", f"gs://{bucket}/out/", score_threshold="0.05"
            )
            operation = api.finished(self.name)
        assert not operation.HasField("error"), operation.error
        self.location = self.name.partition("/operations/")[0]

    def dataset(self, http: httpx.Client, kind: Any = None, type_: str = "MULTILABEL") -> str:
        """The name of a new dataset of the job's kind."""
        kind = kind or self.kind
        member = {"classificationType": type_} if kind is kinds.IMAGE_CLASSIFICATION else {}
        first, *others = kind.dataset_member.split("_")
        field = first + "".join(word.title() for word in others)
        body = {"displayName": "added", field: member}
        created = http.post(f"{self.location}/datasets", json=body).json()
        name: str = created["response"]["name"]
        return name

    def added(self, http: httpx.Client, dataset: str, **asked: Any) -> Any:
        """The operation that has added results to a dataset, when it has ended."""
        answer = http.post(f"{dataset}/examples:addResults", json={"operation": self.name, **asked})
        assert answer.status_code == 200, answer.text
        with open_api(self.service) as api:
            return api.finished(answer.json()["name"])


@pytest.fixture(scope="module", params=["tiny_model", "tiny_classifier"])
def job(request: pytest.FixtureRequest, service: Any) -> Job:
    return Job(service, request.getfixturevalue(request.param))


def _examples(http: httpx.Client, dataset: str) -> dict[str, Any]:
    found = http.get(f"{dataset}/examples", params={"view": "FULL"}).json().get("examples", [])
    return {one["uri"]: one for one in found}


def _results(http: httpx.Client, job: Job, **query: Any) -> list[dict[str, Any]]:
    answer = http.get(f"{job.name}/results", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["results"]
    return found


def _labels(image: dict[str, Any]) -> set[str]:
    return {one["displayName"] for one in image.get("annotations", [])}


def test_an_image_of_a_dataset_with_one_label_takes_the_surest(
    service: Any, tiny_classifier: Any, http: httpx.Client
) -> None:
    job = Job(service, tiny_classifier, "surest")
    dataset = job.dataset(http, type_="MULTICLASS")
    assert not job.added(http, dataset, state="LABELED").HasField("error")
    for one in _results(http, job, filter="has_error=false"):
        example = http.get(_examples(http, dataset)[one["imageId"]]["name"]).json()
        surest = max(one["annotations"], key=lambda found: found["classification"]["score"])
        assert _labels(example) == {surest["displayName"]}


def test_results_that_cannot_be_added_are_told(job: Job, http: httpx.Client) -> None:
    failed = _results(http, job, filter="has_error=true")[0]
    dataset = job.dataset(http)
    assert "has no prediction" in job.added(http, dataset, names=[failed["name"]]).error.message
    operation = job.added(http, dataset, names=[f"{job.name}/results/1-4000"])
    assert f"Result {job.name}/results/1-4000 was not found" in operation.error.message
    for text in ("image_id=nowhere", "has_error=true"):
        assert job.added(http, dataset, filter=text).HasField("error"), text
    assert _examples(http, dataset) == {}


def test_requests_that_are_not_possible_are_refused_and_add_nothing(job: Job, http: httpx.Client) -> None:
    dataset = job.dataset(http)
    other = next(kind for kind in kinds.SERVED if kind is not job.kind)
    one = f"{job.name}/results/1-0"
    for parent, asked, code in (
        (dataset, {"operation": f"{job.location}/operations/IOD404"}, "NOT_FOUND"),
        (f"{job.location}/datasets/IOD404", {}, "NOT_FOUND"),
        (dataset, {"names": [one], "limit": 3}, "INVALID_ARGUMENT"),
        (dataset, {"names": [f"{job.location}/operations/IOD404/results/1-0"]}, "INVALID_ARGUMENT"),
        (dataset, {"names": [f"{job.name}/results/x"]}, "NOT_FOUND"),
        (dataset, {"names": [one] * 1001}, "INVALID_ARGUMENT"),
        (dataset, {"limit": -1}, "INVALID_ARGUMENT"),
        (dataset, {"orderBy": "name"}, "INVALID_ARGUMENT"),
        (dataset, {"scoreThreshold": 2}, "INVALID_ARGUMENT"),
        (job.dataset(http, other), {}, "FAILED_PRECONDITION"),
        (dataset.replace("projects/demo", "projects/other"), {}, "NOT_FOUND"),
    ):
        answer = http.post(f"{parent}/examples:addResults", json={"operation": job.name, **asked}).json()
        assert answer.get("error", {}).get("status") == code, (asked, answer)
    assert _examples(http, dataset) == {}

"""The results of batch predictions, over HTTP and gRPC, against a running service: counts, pages, refusals."""

from __future__ import annotations

import tarfile
from typing import Any

import grpc
import httpx
import pytest
from tests.support.clients.api import metadata, open_api
from tests.support.images import drawn_images

from boxwright import curation_messages as pb
from boxwright.surface import methods

IMAGES = 9


class Job:
    """A finished batch prediction of nine images and a file that is none."""

    def __init__(self, service: Any, model: Any) -> None:
        bucket = f"results-{model.kind.name.replace('_', '-')}"
        self.service, self.folder = service, service.bucket(bucket)
        self.model = model.install(service.data_dir, model.kind.prefix + "3" * 18)
        names = drawn_images.write_images(self.folder / "images", IMAGES)
        (self.folder / "images" / "text.jpg").write_bytes(b"no image")
        self.rows = [f"gs://{bucket}/images/{name}" for name in [*names, "text.jpg"]]
        drawn_images.write_csv(self.folder, "list.csv", self.rows)
        with open_api(service) as api:
            self.name = self.run(api, score_threshold="0.3")
            done = metadata(api.get(self.name)).batch_predict_details
            self.output = done.output_info.gcs_output_directory

    def run(self, api: Any, **params: str) -> str:
        """The name of another batch prediction that succeeds."""
        bucket = self.folder.name
        name: str = api.start_batch(self.model, f"gs://{bucket}/list.csv", f"gs://{bucket}/out/", **params)
        operation = api.finished(name)
        assert not operation.HasField("error"), operation.error
        return name


@pytest.fixture(scope="module", params=["tiny_model", "tiny_classifier"])
def job(request: pytest.FixtureRequest, service: Any) -> Job:
    return Job(service, request.getfixturevalue(request.param))


def _get(http: httpx.Client, path: str, **query: Any) -> dict[str, Any]:
    answer = http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _refusal(http: httpx.Client, address: str, **query: Any) -> tuple[str, str]:
    error = http.get(address, params=query).json()["error"]
    return error["status"], error["message"]


def _grpc(service: Any, rpc: str, request: Any) -> Any:
    row = next(row for row in methods.TABLE if row.rpc == rpc)
    with grpc.insecure_channel(service.grpc_target) as channel:
        call = channel.unary_unary(
            row.full_name, request_serializer=type(request).serialize, response_deserializer=row.response_pb.FromString
        )
        return call(request, timeout=60)


def _score(annotation: dict[str, Any]) -> float:
    found = annotation.get("imageObjectDetection") or annotation["classification"]
    return float(found["score"])


def test_results_are_counted_and_listed_alike_through_both_doors(job: Job, http: httpx.Client) -> None:
    counts = _get(http, f"{job.name}:summarizeResults")
    assert (counts["imageCount"], counts["errorCount"], counts["hasCandidates"]) == ("9", "1", True)
    assert counts["scoreThreshold"] == pytest.approx(0.3)
    assert counts["outputDirectory"] == job.output
    assert [(one["code"], one["imageCount"]) for one in counts["errors"]] == [(3, "1")]
    assert "manifest.json" in [one["path"] for one in counts["files"]]
    listed = _get(http, f"{job.name}/results")
    assert listed["totalSize"] == 10
    assert [one["imageId"] for one in listed["results"]] == job.rows
    assert listed["results"][-1]["error"]["code"] == 3
    assert (listed["readFileCount"], listed["fileCount"]) == (2, 2)  # of results, and of errors
    first = listed["results"][0]
    assert (first["name"], first["widthPx"] > 0) == (f"{job.name}/results/1-0", True)
    over_grpc = _grpc(job.service, "ListResults", pb.ListResultsRequest(parent=job.name))
    assert [one.image_id for one in over_grpc.results] == job.rows
    assert (over_grpc.read_file_count, over_grpc.file_count) == (2, 2)
    assert len(over_grpc.results[0].annotations) == len(first.get("annotations", []))
    summed = _grpc(job.service, "SummarizeResults", pb.SummarizeResultsRequest(name=job.name))
    assert [str(count) for count in summed.images_above] == counts["imagesAbove"]


def test_the_slider_and_the_list_say_the_same_at_every_threshold(job: Job, http: httpx.Client) -> None:
    counts = _get(http, f"{job.name}:summarizeResults")
    for percent in (5, 30, 50, 80, 100):
        listed = _get(http, f"{job.name}/results", scoreThreshold=percent / 100, filter="has_error=false")["results"]
        found = [one.get("annotations", []) for one in listed]
        assert all(_score(one) >= percent / 100 - 1e-6 for image in found for one in image)
        assert sum(map(bool, found)) == int(counts["imagesAbove"][percent])
        for label in counts["labels"]:
            carried = sum(one["displayName"] == label["displayName"] for image in found for one in image)
            assert carried == int(label["foundAbove"][percent])


def test_pages_orders_and_filters(job: Job, http: httpx.Client) -> None:
    ids: list[str] = []
    token = ""
    while True:
        page = _get(http, f"{job.name}/results", pageSize=4, pageToken=token)
        ids += [one["imageId"] for one in page.get("results", [])]
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert ids == job.rows
    skipped = _get(http, f"{job.name}/results", pageSize=2, skip=3)
    assert [one["imageId"] for one in skipped["results"]] == job.rows[3:5]
    failed = _get(http, f"{job.name}/results", filter="has_error=true")
    assert [one["imageId"] for one in failed["results"]] == job.rows[-1:]
    best = _get(http, f"{job.name}/results", orderBy="score desc", scoreThreshold=0.05)["results"]
    scores = [max(map(_score, one["annotations"]), default=0.0) for one in best if "annotations" in one]
    assert scores == sorted(scores, reverse=True)
    unsure = _get(http, f"{job.name}/results", orderBy="uncertainty desc")["results"]
    assert len(unsure) == IMAGES
    assert all(("reason" in one) == (one.get("uncertainty", 0) > 0) for one in unsure)


def test_requests_that_mean_nothing_are_refused(job: Job, http: httpx.Client) -> None:
    results = f"{job.name}/results"
    for query, said in (
        ({"filter": "colour=red"}, "Unknown field 'colour'"),
        ({"filter": "score=high"}, "score is compared with a number"),
        ({"filter": "label>3"}, "Field 'label' is no number"),
        ({"filter": "has_error=maybe"}, "has_error is one of"),
        ({"orderBy": "name"}, "'name' is no order of this list"),
        ({"orderBy": "list_order desc"}, "no other direction"),
        ({"scoreThreshold": 1.5}, "0 means the threshold of the job"),
        ({"skip": -1}, "-1 is negative"),
        ({"pageToken": "AAAA"}, "not a page token"),
    ):
        code, message = _refusal(http, results, **query)
        assert (code, said in message) == ("INVALID_ARGUMENT", True), message
    token = _get(http, results, pageSize=1)["nextPageToken"]
    assert _refusal(http, results, pageToken=token, filter="boxes=1")[0] == "INVALID_ARGUMENT"
    location = job.name.partition("/operations/")[0]
    assert _refusal(http, f"{location}/operations/IOD404/results")[0] == "NOT_FOUND"
    assert _refusal(http, f"{location}/operations/IOD404:summarizeResults")[0] == "NOT_FOUND"
    with open_api(job.service) as api:
        other = api.start_import(api.create_dataset("none"), f"gs://{job.folder.name}/list.csv")
    assert _refusal(http, f"{other}/results")[0] == "FAILED_PRECONDITION"


def test_a_job_without_candidates_says_why_its_threshold_cannot_be_lowered(job: Job, http: httpx.Client) -> None:
    with open_api(job.service) as api:
        name = job.run(api, score_threshold="0.3", candidates="none")
    counts = _get(http, f"{name}:summarizeResults")
    assert not counts.get("hasCandidates")
    assert "kept no candidates" in counts["reason"]
    assert [one["imageId"] for one in _get(http, f"{name}/results")["results"]] == job.rows
    mine = _get(http, f"{name}/results", filter="has_error=false")["results"]
    others = _get(http, f"{job.name}/results", filter="has_error=false")["results"]
    assert [one.get("annotations") for one in mine] == [one.get("annotations") for one in others]
    assert _refusal(http, f"{name}/results", scoreThreshold=0.2)[0] == "OUT_OF_RANGE"
    assert _refusal(http, f"{name}/results", orderBy="uncertainty desc")[0] == "FAILED_PRECONDITION"


def test_pictures_of_results_are_those_of_the_decoder(job: Job, http: httpx.Client) -> None:
    found = http.get(f"{job.name}/results/1-2:image", params={"edgePx": 256})
    assert found.status_code == 200, found.text
    assert found.headers["content-type"] == "image/jpeg"
    assert found.headers["cache-control"] == "private, no-cache"
    again = http.get(
        f"{job.name}/results/1-2:image", params={"edgePx": 256}, headers={"If-None-Match": found.headers["etag"]}
    )
    assert again.status_code == 304
    picture = _grpc(
        job.service, "GetResultImage", pb.GetResultImageRequest(name=f"{job.name}/results/1-2", edge_px=256)
    )
    assert picture.data == found.content
    file = job.folder / "images" / job.rows[2].rpartition("/")[2]
    former = file.read_bytes()
    file.write_bytes((job.folder / "images" / job.rows[3].rpartition("/")[2]).read_bytes())
    changed = http.get(f"{job.name}/results/1-2:image", params={"edgePx": 256})
    file.write_bytes(former)
    assert changed.content != found.content  # as it is now
    assert _refusal(http, f"{job.name}/results/e1-0:image")[0] == "FAILED_PRECONDITION"  # no image


def test_pictures_of_members_of_archives(job: Job, http: httpx.Client) -> None:
    with tarfile.open(job.folder / "all.tar", "w") as archive:
        for row in job.rows[:3]:
            name = row.rpartition("/")[2]
            archive.add(job.folder / "images" / name, f"day#1/{name}")
    with open_api(job.service) as api:
        name = api.start_batch(job.model, f"gs://{job.folder.name}/all.tar", f"gs://{job.folder.name}/out/")
        assert not api.finished(name).HasField("error")
    listed = _get(http, f"{name}/results")["results"]
    for number, one in enumerate(listed):
        mine = http.get(f"{one['name']}:image", params={"edgePx": 256})
        assert mine.status_code == 200, mine.text
        assert mine.content == http.get(f"{job.name}/results/1-{number}:image", params={"edgePx": 256}).content
    (job.folder / "all.tar").unlink()
    assert _refusal(http, f"{listed[0]['name']}:image")[0] == "NOT_FOUND"


def test_files_are_sent_to_be_kept_and_not_shown(job: Job, http: httpx.Client) -> None:
    output = job.folder.parent / job.output.removeprefix("gs://")
    for path, kind in (
        ("manifest.json", "application/json"),
        ("errors_1.jsonl", "text/plain; charset=utf-8"),
        ("report/report.html", "application/octet-stream"),
    ):
        answer = http.get(f"{job.name}:download", params={"path": path})
        assert answer.status_code == 200, answer.text
        assert answer.content == (output / path).read_bytes()
        assert answer.headers["content-type"] == kind
        assert answer.headers["content-disposition"] == "attachment"
        assert answer.headers["x-content-type-options"] == "nosniff"
    for path in ("../list.csv", "/etc/passwd", "report", "report/", "a/../manifest.json", "", "manifest.json\0"):
        assert http.get(f"{job.name}:download", params={"path": path}).status_code in (400, 404), path
    (output / "large.csv").write_bytes(bytes((32 << 20) + 1))
    code, message = _refusal(http, f"{job.name}:download", path="large.csv")
    (output / "large.csv").unlink()
    assert (code, f"{job.output}/large.csv" in message) == ("FAILED_PRECONDITION", True)


def test_folders_are_listed_a_page_at_a_time(job: Job, http: httpx.Client) -> None:
    location = job.name.partition("/operations/")[0]
    prefix = f"gs://{job.folder.name}/"
    (job.folder / "ü<b>").mkdir(exist_ok=True)
    (job.folder / "link").unlink(missing_ok=True)
    (job.folder / "link").symlink_to("/etc")
    whole = _get(http, f"{location}/objects", prefix=prefix)["objects"]
    assert {one["uri"]: one.get("isFolder", False) for one in whole}.items() >= {
        (f"{prefix}images/", True),
        (f"{prefix}list.csv", False),
        (f"{prefix}out/", True),
        (f"{prefix}ü<b>/", True),
    }
    assert f"{prefix}link" not in {one["uri"].rstrip("/") for one in whole}
    listed = next(one for one in whole if one["uri"].endswith("list.csv"))
    assert (int(listed["sizeBytes"]), "updateTime" in listed) == ((job.folder / "list.csv").stat().st_size, True)
    paged: list[dict[str, Any]] = []
    token = ""
    while True:
        page = _get(http, f"{location}/objects", prefix=prefix, pageSize=2, pageToken=token)
        paged += page["objects"]
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert paged == whole
    buckets = _get(http, f"{location}/objects", pageSize=1000)["objects"]
    assert prefix in [one["uri"] for one in buckets]


def _added(job: Job, http: httpx.Client, dataset: str, **body: Any) -> list[dict[str, Any]]:
    """The dataset's examples after results were added."""
    answer = http.post(f"{dataset}/examples:addResults", json={"operation": job.name, **body})
    assert answer.status_code == 200, answer.text
    with open_api(job.service) as api:
        operation = api.finished(answer.json()["name"])
    assert not operation.HasField("error"), operation.error
    found: list[dict[str, Any]] = _get(http, f"{dataset}/examples").get("examples", [])
    return found


def _new_dataset(http: httpx.Client, job: Job, name: str) -> str:
    location = job.name.partition("/operations/")[0]
    is_detection = "/operations/IOD" in job.name
    kind: dict[str, Any] = (
        {"imageObjectDetectionDatasetMetadata": {}}
        if is_detection
        else {"imageClassificationDatasetMetadata": {"classificationType": "MULTILABEL"}}
    )
    answer = http.post(f"{location}/datasets", json={"displayName": name, **kind})
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["response"]["name"]
    return found


def test_results_become_suggestions_with_the_models_scores(job: Job, http: httpx.Client) -> None:
    dataset = _new_dataset(http, job, "added_suggestions")
    listed = _get(http, f"{job.name}/results", orderBy="uncertainty desc")["results"]
    made = _added(job, http, dataset, orderBy="uncertainty desc", limit=4)
    assert [one["uri"] for one in made] == [one["imageId"] for one in listed[:4]]
    for example, result in zip(made, listed, strict=False):
        found = result.get("annotations", [])
        assert example["state"] == "SUGGESTED" or not found
        assert {one["displayName"] for one in example.get("annotations", [])} <= {one["displayName"] for one in found}
        assert set(example.get("sources", [])) <= {"MODEL"}
    labels = sum(len(one.get("annotations", [])) for one in made)
    assert labels > 0
    again = _added(job, http, dataset, orderBy="uncertainty desc", limit=4)  # sent twice it does no harm
    assert [(one["uri"], len(one.get("annotations", []))) for one in again] == [
        (one["uri"], len(one.get("annotations", []))) for one in made
    ]


def test_results_are_added_by_name_and_in_other_states(job: Job, http: httpx.Client) -> None:
    bare = _added(
        job, http, _new_dataset(http, job, "added_bare"), names=[f"{job.name}/results/1-3"], state="UNLABELED"
    )
    assert [(one["uri"], one["state"], "annotations" in one) for one in bare] == [(job.rows[3], "UNLABELED", False)]
    dataset = _new_dataset(http, job, "added_labelled")
    labelled = _added(job, http, dataset, filter="boxes>=1", limit=2, state="LABELED", scoreThreshold=0.2)
    assert [one["state"] for one in labelled] == ["LABELED", "LABELED"]
    assert all(one["annotations"] for one in labelled)
    other = job.name.replace("projects/demo/", "projects/other/")
    answer = http.post(f"{dataset}/examples:addResults", json={"operation": other})
    assert answer.status_code == 404
    for body in ({"limit": -1}, {"names": ["x"]}, {"filter": "colour=red"}, {"scoreThreshold": 2}):
        assert http.post(f"{dataset}/examples:addResults", json={"operation": job.name, **body}).status_code == 400, (
            body
        )

"""Import under fire: killed in any of its phases, it ends with every image and every box exactly once."""

from __future__ import annotations

import contextlib
import pathlib

import pytest
import sqlalchemy as sa
from tests.support.clients.api import Api, metadata, open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import promptly, wait_until
from tests.support.processes import crashes

from boxwright.metadata import database

IMAGES, SAME = 1500, 100  # the second number: files with the content of the first ones
BOXES = 4


@pytest.fixture
def service(service_factory, environment):
    return service_factory(environment=environment)


@pytest.fixture
def csv_uri(service) -> str:
    """A list of many images, a few rows of each, some images twice under different names, some rows bad."""
    bucket = service.bucket("b")
    names = drawn_images.write_images(bucket / "images", IMAGES)
    rows = []
    for name in names:
        for number in range(BOXES):
            rows.append(f"TRAIN,gs://b/images/{name},label{number},0.1,0.{number + 1},,,0.9,0.9,,")
    for name in names[:SAME]:
        copy = f"again-{name}"
        (bucket / "images" / copy).write_bytes((bucket / "images" / name).read_bytes())
        rows.append(f"TRAIN,gs://b/images/{copy},extra,0.2,0.2,,,0.8,0.8,,")
    rows.insert(77, "TRAIN,gs://b/images/0000.jpg,car,0.1,0.2,,,7,8,,")
    rows.insert(99, "TRAIN,gs://b/images/none.jpg,car,0.1,0.2,,,0.3,0.4,,")
    return drawn_images.write_csv(bucket, "import.csv", rows)


def _place(environment: dict[str, str], data_dir: pathlib.Path) -> pathlib.Path | str:
    return environment.get("BOXWRIGHT_DATABASE_URL") or data_dir / "metadata.sqlite"


def _stored(place: pathlib.Path | str, dataset: str) -> tuple[int, int, int, int]:
    """Counts of examples, distinct contents, boxes and distinct boxes of a dataset."""
    db = database.Database(place)
    with contextlib.closing(db), db.read() as connection:
        mine = "FROM annotations JOIN examples ON examples.id = example_id WHERE dataset_id = :id"
        box = "example_id || '/' || annotation_spec_id || '/' || x_min || '/' || y_min || '/' || x_max || '/' || y_max"
        queries = (
            "SELECT count(*) FROM examples WHERE dataset_id = :id",
            "SELECT count(DISTINCT sha256) FROM examples WHERE dataset_id = :id",
            f"SELECT count(*) {mine}",
            f"SELECT count(DISTINCT {box}) {mine}",
        )
        values = {"id": dataset.rpartition("/")[2]}
        return tuple(connection.execute(sa.text(query), values).scalar_one() for query in queries)


def _assert_whole(api: Api, place: pathlib.Path | str, dataset: str, name: str) -> None:
    operation = api.finished(name, timeout_s=120)
    assert not operation.HasField("error"), operation.error
    boxes = IMAGES * BOXES + SAME
    assert _stored(place, dataset) == (IMAGES, IMAGES, boxes, boxes)
    assert api.automl.get_dataset(name=dataset).example_count == IMAGES
    failures = [failure.message for failure in metadata(operation).partial_failures]
    assert len(failures) == 2
    assert "import.csv, line 78" in failures[0]
    assert "gs://b/images/none.jpg" in failures[1]


# Progress says which phase it is: rows up to 10, images up to 90, merging after that.
@pytest.mark.parametrize(
    "percent",
    [
        pytest.param(0, id="while reading rows", marks=pytest.mark.full),
        pytest.param(30, id="while looking at images"),
        pytest.param(91, id="while merging", marks=pytest.mark.full),
    ],
)
def test_a_service_killed_during_an_import_finishes_it_after_its_restart(
    service, service_factory, csv_uri, environment, percent
):
    with open_api(service) as api:
        dataset = api.create_dataset()
        name = api.start_import(dataset, csv_uri)
        look = lambda: metadata(api.get(name)).progress_percent  # noqa: E731
        seen = wait_until(lambda: (progress := look()) >= percent and (progress,), f"{percent} %", interval_s=0.001)
        crashes.kill(service, environment)
    assert seen[0] < 100, "the import was too quick to be disturbed"
    again = service_factory(environment=environment)
    with open_api(again) as api:
        _assert_whole(api, _place(environment, again.data_dir), dataset, name)
    crashes.assert_tidy(again.data_dir)


@pytest.mark.full
def test_a_service_that_is_asked_to_end_during_an_import_goes_on_after_its_restart(
    service, service_factory, csv_uri, environment
):
    with open_api(service) as api:
        dataset = api.create_dataset()
        name = api.start_import(dataset, csv_uri)
        wait_until(lambda: metadata(api.get(name)).progress_percent >= 20, "20 %", interval_s=0.005)
    assert service.stop() == 0
    assert _stored(_place(environment, service.data_dir), dataset) == (0, 0, 0, 0)
    again = service_factory(environment=environment)
    with open_api(again) as api:
        _assert_whole(api, _place(environment, again.data_dir), dataset, name)


def test_a_cancelled_import_ends_within_five_seconds_and_has_imported_nothing(service, csv_uri, environment):
    with open_api(service) as api:
        dataset = api.create_dataset()
        name = api.start_import(dataset, csv_uri)
        wait_until(lambda: metadata(api.get(name)).progress_percent >= 15, "15 %", interval_s=0.005)
        with promptly(5):
            api.cancel(name)
            operation = api.finished(name)
        assert operation.error.code == 1
        assert _stored(_place(environment, service.data_dir), dataset) == (0, 0, 0, 0)
        name = api.start_import(dataset, csv_uri)
        _assert_whole(api, _place(environment, service.data_dir), dataset, name)
    crashes.assert_tidy(service.data_dir)


PAGES, PAGE_IMAGES = 6, 40


@pytest.mark.parametrize("passage", [pytest.param(1, marks=pytest.mark.full), 4])
def test_a_service_killed_while_folders_are_imported_goes_on_behind_the_pages_that_are_done(
    service_factory, environment, tmp_path, passage
):
    (tmp_path / "marks").mkdir()
    faults = {
        "BOXWRIGHT_FAULTS": f"import.before_note:hang@{passage}",
        "BOXWRIGHT_FAULTS_ONCE": str(tmp_path / "marks"),
    }
    service = service_factory(environment=environment | faults)
    bucket = service.bucket("b")
    names = drawn_images.write_images(bucket / "0", PAGES * PAGE_IMAGES)
    for number, name in enumerate(names):
        folder = bucket / str(number % PAGES)
        folder.mkdir(exist_ok=True)
        (bucket / "0" / name).rename(folder / name)
    (bucket / "5" / "broken.jpg").write_bytes(b"no image")
    with open_api(service) as api:
        dataset = api.create_dataset()
        name = api.start_import(dataset, "gs://b/{0..5}/", unlabelled="true")
        wait_until(lambda: list((tmp_path / "marks").iterdir()), "a page that is done", interval_s=0.005)
        imported = api.automl.get_dataset(name=dataset).example_count
        crashes.kill(service, environment)
    assert imported == passage * PAGE_IMAGES
    for page in range(passage - 1):  # nobody looks at them again
        for path in (bucket / str(page)).iterdir():
            path.write_bytes(b"no image any more")
    (bucket / "5" / "late.jpg").write_bytes(drawn_images.draw(9999).content)
    again = service_factory(environment=environment)
    with open_api(again) as api:
        operation = api.finished(name, timeout_s=120)
        assert not operation.HasField("error"), operation.error
        progress = api.progress(name)
        assert api.automl.get_dataset(name=dataset).example_count == PAGES * PAGE_IMAGES
    assert (progress["done"], progress["failed"]) == (PAGES * PAGE_IMAGES + 1, 1)
    assert progress["added"] == (PAGES - 1) * PAGE_IMAGES, "but those of the page that is done again"
    assert _stored(_place(environment, again.data_dir), dataset)[:2] == (PAGES * PAGE_IMAGES,) * 2
    assert "broken.jpg" in metadata(operation).partial_failures[-1].message
    crashes.assert_tidy(again.data_dir)

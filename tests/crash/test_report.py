"""The report of a batch job under fire: it costs no job, and a process that dies while it reports costs no byte."""

from __future__ import annotations

import pytest
from tests.support.clients.api import open_api
from tests.support.images import drawn_images
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes import crashes
from tests.support.processes.crashes import ENVIRONMENT, contents, result_folder

SETTINGS = {**ENVIRONMENT, "BOXWRIGHT_SHARD_IMAGES": "5"}


def _prepared(service, tiny_model: TinyModel) -> str:
    """Writes a list of images; returns the model."""
    bucket = service.bucket("b")
    names = drawn_images.write_images(bucket / "images", 20)
    drawn_images.write_csv(bucket, "list.csv", [f"gs://b/images/{name}" for name in names])
    return tiny_model.install(service.data_dir)


def _run(service, model: str, prefix: str) -> None:
    with open_api(service) as api:
        operation = api.finished(api.start_batch(model, "gs://b/list.csv", f"gs://b/{prefix}/"), timeout_s=120)
        assert not operation.HasField("error"), operation.error


@pytest.mark.parametrize(
    "point", ["report.after_file:kill@3", pytest.param("report.before_files:kill", marks=pytest.mark.full)]
)
def test_a_process_that_dies_while_it_reports_costs_no_byte(service_factory, tiny_model, tmp_path, point: str):
    service = service_factory(environment=SETTINGS)
    model = _prepared(service, tiny_model)
    _run(service, model, "calm")
    service.stop()
    (tmp_path / "marks").mkdir()
    faults = {"BOXWRIGHT_FAULTS_ONCE": str(tmp_path / "marks"), "BOXWRIGHT_FAULTS": point}
    service = service_factory(environment={**SETTINGS, **faults})
    _run(service, model, "killed")
    assert list((tmp_path / "marks").iterdir()), "nobody died"
    calm = contents(result_folder(service.bucket("b"), "calm"))
    assert contents(result_folder(service.bucket("b"), "killed")) == calm
    assert "report/report.html" in calm
    crashes.assert_tidy(service.data_dir)


@pytest.mark.parametrize("fault", ["report.after_file:raise@2", "report.before_files:kill"])
def test_a_report_that_fails_every_time_leaves_the_results_without_one(service_factory, tiny_model, fault: str):
    service = service_factory(environment={**SETTINGS, "BOXWRIGHT_FAULTS": fault})
    _run(service, _prepared(service, tiny_model), "failed")
    made = contents(result_folder(service.bucket("b"), "failed"))
    assert not [name for name in made if name.startswith("report")]
    assert "manifest.json" in made

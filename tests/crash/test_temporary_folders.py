"""What a killed service leaves in the place of temporary files: the next start removes it, and takes nothing from others."""

from __future__ import annotations

import pathlib

from tests.support.clients.api import open_api
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes import crashes

from boxwright import temporary

FORMAT = {"model_format": "openvino", "gcs_destination": {"output_uri_prefix": "gs://b/out/"}}


def test_the_next_start_removes_what_a_killed_export_has_left_and_nothing_of_a_service_that_runs(
    service_factory, tiny_model: TinyModel, tmp_path: pathlib.Path
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    environment = {"TMPDIR": str(place)}
    hanging = {"BOXWRIGHT_FAULTS": "export.after_save:hang"}
    other = service_factory(
        environment={**environment, **hanging}, data_dir=tmp_path / "other", buckets=tmp_path / "other-buckets"
    )
    service = service_factory(environment={**environment, "BOXWRIGHT_FAULTS": "export.after_save:kill"})
    service.bucket("b")
    other.bucket("b")
    with open_api(other) as api:
        api.automl.export_model(name=tiny_model.install(other.data_dir), output_config=FORMAT)
        wait_until(lambda: any(list(folder.glob("*.xml")) for folder in _folders(place)), "the other's export")
    (theirs,) = _folders(place)
    with open_api(service) as api:
        name = api.automl.export_model(name=tiny_model.install(service.data_dir), output_config=FORMAT).operation.name
        service.process.wait()
    crashes.kill(service, environment)
    assert len(_folders(place)) == 2
    again = service_factory(environment=environment)
    assert _folders(place) == [theirs]
    with open_api(again) as api:
        assert not api.finished(name).HasField("error")
    assert _folders(place) == [theirs]
    assert sorted(path.name for path in theirs.iterdir()) == ["model.bin", "model.xml"]
    other.kill()


def _folders(place: pathlib.Path) -> list[pathlib.Path]:
    return [path for path in place.iterdir() if path.name.startswith(temporary.PREFIX)]

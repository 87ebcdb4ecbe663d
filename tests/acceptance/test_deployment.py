"""Deployment: a model answers online once it is deployed, keeps answering after a restart, and stops when undeployed."""

from __future__ import annotations

import io
import logging
from concurrent import futures

import numpy as np
import pytest
from google.api_core import exceptions
from google.cloud.automl_v1 import types
from PIL import Image
from tests.support.clients.api import open_api
from tests.support.predictions.tiny_model import TinyModel

from boxwright import objects
from boxwright.inference.model_store import ModelFolders
from boxwright.online.deployed_models import DeployedModels


def _picture() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG")
    return data.getvalue()


def _predict(api, model: str) -> types.PredictResponse:
    payload = {"image": {"image_bytes": _picture()}}
    return api.prediction.predict(name=model, payload=payload, params={"score_threshold": "0.1"})


def _deploy(api, model: str, node_count: int) -> None:
    metadata = {"node_count": node_count}
    request = {"name": model, "image_object_detection_model_deployment_metadata": metadata}
    api.automl.deploy_model(request=request).result()


def test_a_deployed_model_answers_before_and_after_a_restart_until_it_is_undeployed(
    service_factory, tiny_model: TinyModel
):
    service = service_factory()
    model = tiny_model.install(service.data_dir)
    with open_api(service) as api:
        with pytest.raises(exceptions.FailedPrecondition, match="not deployed"):
            _predict(api, model)
        _deploy(api, model, 2)
        before = _predict(api, model)
        assert before.payload
    service.kill()
    service = service_factory()
    with open_api(service) as api:
        described = api.automl.get_model(name=model)
        assert described.deployment_state == types.Model.DeploymentState.DEPLOYED
        assert described.image_object_detection_model_metadata.node_count == 2
        assert _predict(api, model) == before
        _deploy(api, model, 3)
        assert _predict(api, model) == before
        api.automl.undeploy_model(name=model).result()
        with pytest.raises(exceptions.FailedPrecondition, match="deploy_model"):
            _predict(api, model)


@pytest.mark.parametrize(("node_count", "cores", "at_once"), [(1, 4, 1), (3, 4, 3), (100, 2, 2)])
def test_a_model_predicts_as_many_images_at_once_as_it_has_nodes_and_cores_allow(
    node_count: int, cores: int, at_once: int, tiny_model: TinyModel, tmp_path, caplog
):
    caplog.set_level(logging.INFO)
    stores = objects.Stores(tmp_path / "buckets", tmp_path / "state")
    deployed = DeployedModels(ModelFolders(tiny_model.folder.parent, stores), cores=cores)
    deployed.deploy(tiny_model.folder.name, node_count)
    with futures.ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: deployed.predict(tiny_model.folder.name, _picture())[0].scores.tolist(), range(16))
        )
    assert answers == [answers[0]] * 16
    deployed.close()
    assert f" node_count={node_count} streams={at_once} " in caplog.text

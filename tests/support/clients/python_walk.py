"""One walk through every method of the API, for each of Google's Python clients: sync and async, gRPC and REST."""

from __future__ import annotations

import dataclasses
import inspect
import pathlib
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import automl_v1
from tests.support.clients.api import MULTILABEL, OBJECT_DETECTION
from tests.support.clients.scene import Scene

TIMEOUT_S = 60
METHODS = 18 + 2 + 4  # AutoMl, PredictionService, operations (a client has no WaitOperation of its own)


async def settled(value: Any) -> Any:
    """What a sync client answers at once and an async client lets one wait for."""
    return await value if inspect.isawaitable(value) else value


async def listed(pager: Any) -> list[Any]:
    """Every item of every page."""
    pager = await settled(pager)
    return [item async for item in pager] if hasattr(pager, "__aiter__") else list(pager)


@dataclasses.dataclass
class Walk:
    """The walk of one pair of clients through one scene; `called` says which methods have answered as they should."""

    automl: Any
    prediction: Any
    scene: Scene
    parent: str
    called: set[str] = dataclasses.field(default_factory=set)

    async def call(self, method: str, **arguments: Any) -> Any:
        client = self.prediction if hasattr(self.prediction, method) else self.automl
        answer = await settled(getattr(client, method)(**arguments))
        self.called.add(method)
        return answer

    async def finished(self, method: str, details: str, **arguments: Any) -> tuple[Any, Any]:
        """Starts an operation, waits for its end; returns the response and the metadata, whose kind is checked."""
        operation = await self.call(method, **arguments)
        response = await settled(operation.result(timeout=TIMEOUT_S))
        metadata = await settled(operation.metadata)
        assert automl_v1.OperationMetadata.pb(metadata).WhichOneof("details") == details
        assert await settled(operation.done())
        return response, metadata

    async def refused(self, kind: type[Exception], text: str, method: str, **arguments: Any) -> None:
        with pytest.raises(kind, match=text):
            await settled(
                (self.prediction if hasattr(self.prediction, method) else self.automl).__getattribute__(method)(
                    **arguments
                )
            )

    async def datasets(self) -> None:
        for name in ("first", "second", "third"):
            dataset = {"display_name": name, **OBJECT_DETECTION}
            created, _ = await self.finished(
                "create_dataset", "create_dataset_details", parent=self.parent, dataset=dataset
            )
            assert isinstance(created, automl_v1.Dataset)
        got = await self.call("get_dataset", name=created.name)
        assert (got.display_name, got.etag) == ("third", created.etag)
        names = [
            one.display_name
            for one in await listed(self.call("list_datasets", request={"parent": self.parent, "page_size": 1}))
        ]
        assert names == ["third", "second", "first"]
        got.display_name = "after"
        updated = await self.call("update_dataset", dataset=got, update_mask={"paths": ["display_name"]})
        assert (updated.display_name, updated.name) == ("after", got.name)
        # a REST answer of 409 is Aborted or, in older clients, its parent
        await self.refused(
            exceptions.Conflict, "etag mismatch", "update_dataset", dataset=got, update_mask={"paths": ["labels"]}
        )
        await self.finished(
            "import_data",
            "import_data_details",
            name=got.name,
            input_config={"gcs_source": {"input_uris": [self.scene.csv]}},
        )
        assert (await self.call("get_dataset", name=got.name)).example_count == 10
        assert (await self.call("get_annotation_spec", name=self.scene.spec)).example_count == 10
        output = {"gcs_destination": {"output_uri_prefix": self.scene.output}}
        _, metadata = await self.finished(
            "export_data", "export_data_details", name=self.scene.dataset, output_config=output
        )
        assert "/export_data-scene-" in metadata.export_data_details.output_info.gcs_output_directory
        await self.finished("delete_dataset", "delete_details", name=got.name)
        await self.refused(exceptions.NotFound, "not found", "get_dataset", name=got.name)

    async def classification(self) -> None:
        """The same methods on a data set with labels and no boxes."""
        created, _ = await self.finished(
            "create_dataset",
            "create_dataset_details",
            parent=self.parent,
            dataset={"display_name": "labels", **MULTILABEL},
        )
        assert "/datasets/ICN" in created.name
        source = {"gcs_source": {"input_uris": [self.scene.labels_csv]}}
        await self.finished("import_data", "import_data_details", name=created.name, input_config=source)
        got = await self.call("get_dataset", name=created.name)
        assert got.example_count == 5
        assert got.image_classification_dataset_metadata.classification_type.name == "MULTILABEL"
        request = {"parent": self.parent, "filter": "image_classification_dataset_metadata:*"}
        assert [one.name for one in await listed(self.call("list_datasets", request=request))] == [created.name]
        assert (await self.call("get_annotation_spec", name=self.scene.labels_spec)).example_count == 2
        output = {"gcs_destination": {"output_uri_prefix": self.scene.output}}
        _, metadata = await self.finished(
            "export_data", "export_data_details", name=self.scene.labels_dataset, output_config=output
        )
        assert "/export_data-scene-" in metadata.export_data_details.output_info.gcs_output_directory
        model = {
            "display_name": "m",
            "dataset_id": self.scene.labels_dataset.rpartition("/")[2],
            "image_classification_model_metadata": {"train_budget_milli_node_hours": 1000},
        }
        await self.refused(
            exceptions.BadRequest,
            "at least 10 images that carry it",
            "create_model",
            parent=self.scene.parent,
            model=model,
        )
        await self.finished("delete_dataset", "delete_details", name=created.name)

    async def training(self) -> None:
        metadata = {"model_type": "mobile-low-latency-1", "train_budget_milli_node_hours": 1000}
        model: dict[str, Any] = {"display_name": "m", "dataset_id": self.scene.dataset.rpartition("/")[2]}
        model["image_object_detection_model_metadata"] = metadata
        operation = await self.call("create_model", parent=self.scene.parent, model=model)
        await settled(operation.cancel())
        # the sync client raises Cancelled, the async one its parent
        with pytest.raises(exceptions.GoogleAPICallError, match="cancelled"):
            await settled(operation.result(timeout=TIMEOUT_S))
        assert await settled(operation.cancelled())
        unknown = {**model, "dataset_id": "IOD0000000000000000"}
        await self.refused(
            exceptions.NotFound, "Dataset does not exist.", "create_model", parent=self.scene.parent, model=unknown
        )

    async def models(self) -> None:
        name = self.scene.model
        got = await self.call("get_model", name=name)
        assert got.deployment_state == automl_v1.Model.DeploymentState.UNDEPLOYED
        found = await listed(self.call("list_models", request={"parent": self.scene.parent, "page_size": 2}))
        assert name in [one.name for one in found]
        updated = await self.call(
            "update_model", model={"name": name, "labels": {"a": "b"}}, update_mask={"paths": ["labels"]}
        )
        assert dict(updated.labels) == {"a": "b"}
        evaluations = await listed(self.call("list_model_evaluations", parent=name, filter=""))
        assert len(evaluations) == 3
        evaluation = await self.call("get_model_evaluation", name=evaluations[0].name)
        assert evaluation == evaluations[0]
        output = {"model_format": "onnx", "gcs_destination": {"output_uri_prefix": self.scene.output}}
        await self.finished("export_model", "export_model_details", name=name, output_config=output)

    async def predictions(self) -> None:
        name, payload = self.scene.model, {"image": {"image_bytes": pathlib.Path(self.scene.image).read_bytes()}}
        await self.refused(exceptions.BadRequest, "not deployed", "predict", name=name, payload=payload)
        nodes = {"node_count": 2}
        request = {"name": name, "image_object_detection_model_deployment_metadata": nodes}
        await self.finished("deploy_model", "deploy_model_details", request=request)
        answer = await self.call("predict", name=name, payload=payload, params={"score_threshold": "0.1"})
        assert len(answer.payload[0].image_object_detection.bounding_box.normalized_vertices) == 2
        response, metadata = await self.finished(
            "batch_predict",
            "batch_predict_details",
            name=name,
            input_config={"gcs_source": {"input_uris": [self.scene.images_csv]}},
            output_config={"gcs_destination": {"output_uri_prefix": self.scene.output}},
            params={},
        )
        assert isinstance(response, automl_v1.BatchPredictResult)
        assert metadata.progress_percent == 100
        await self.finished("undeploy_model", "undeploy_model_details", name=name)
        await self.finished("delete_model", "delete_details", name=name)
        await self.refused(exceptions.NotFound, "The model does not exist.", "get_model", name=name)

    async def operations(self) -> None:
        client = self.automl.transport.operations_client
        dataset = {"display_name": "last", **OBJECT_DETECTION}
        name = (await self.call("create_dataset", parent=self.parent, dataset=dataset)).operation.name
        assert (await settled(client.get_operation(name))).done
        found = await listed(client.list_operations(self.parent, f"operation_id={name.rpartition('/')[2]}"))
        assert [one.name for one in found] == [name]
        await settled(client.cancel_operation(name))
        await settled(client.delete_operation(name))
        with pytest.raises(exceptions.NotFound, match="not found"):
            await settled(client.get_operation(name))
        self.called |= {"get_operation", "list_operations", "cancel_operation", "delete_operation"}


async def walk_everywhere(walk: Walk) -> None:
    """Walks through every method, and fails if one was left out."""
    await walk.datasets()
    await walk.classification()
    await walk.training()
    await walk.models()
    await walk.predictions()
    await walk.operations()
    assert len(walk.called) == METHODS

"""What the compliance cases name in braces: projects, datasets, models and operations in every state they speak of.

Values are made when they are first asked for. Names that begin with ``new_`` are made anew for every test.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable
from typing import Any

import grpc
from google.cloud import automl_v1
from google.longrunning import operations_pb2
from google.protobuf import json_format
from tests.support.clients.api import PARENT, open_api
from tests.support.images import drawn_images
from tests.support.predictions.tiny_model import SPEC_IDS

from boxwright import names, states
from boxwright.metadata import database, datasets, models
from boxwright.metadata.schema import operations
from boxwright.operations import ledger
from boxwright.services import messages

LISTED = "projects/listed/locations/us-central1"
_FAR_US = 1 << 60
_model_numbers = itertools.count(8_000_000_000_000_000_001)
_operation_numbers = itertools.count(8_100_000_000_000_000_001)


class World:
    """The values of one running service.

    Args:
        service: the service, with its data directory and buckets.
        tiny_model: a trained model to install.
        channel: plaintext gRPC to the service.
        tiny_classifier: a trained classifier to install.
    """

    def __init__(self, service: Any, tiny_model: Any, channel: grpc.Channel, tiny_classifier: Any = None) -> None:
        self.service = service
        self.channel = channel
        self._tiny_model = tiny_model
        self._tiny_classifier = tiny_classifier
        self._elsewhere: set[str] = set()
        self._values: dict[str, str] = {"P": PARENT, "spec": SPEC_IDS[0], "other_spec": SPEC_IDS[1]}

    def for_one_test(self) -> Callable[[str], str | None]:
        """Returns a look-up whose ``new_…`` values are its own."""
        own: dict[str, str] = {}

        def lookup(name: str) -> str | None:
            if name.endswith("_id"):  # the last segment of a resource name
                whole = lookup(name.removesuffix("_id"))
                return whole and whole.rpartition("/")[2]
            values = own if name.startswith("new_") else self._values
            if name not in values:
                make = getattr(self, "_" + name.lower(), None)
                if make is None:
                    return None
                make(values)
            return values[name]

        return lookup

    def imported(self, bucket: str, count: int) -> str:
        """A new dataset of drawn images with boxes, which lie in a bucket of this name; returns its name."""
        csv_uri = drawn_images.write_dataset(self.service.bucket(bucket), count)
        with open_api(self.service) as api:
            dataset = api.create_dataset(bucket.replace("-", "_"))
            assert not api.finished(api.start_import(dataset, csv_uri)).HasField("error")
        return dataset

    # ---- datasets -----------------------------------------------------------------------------------------------

    def _create(
        self,
        parent: str,
        display_name: str,
        member: str = "image_object_detection_dataset_metadata",
        metadata: Any = None,
    ) -> Any:
        with open_api(self.service) as api:
            dataset: Any = {"display_name": display_name, "description": "for the cases", member: metadata or {}}
            return api.automl.create_dataset(parent=parent, dataset=dataset).result(timeout=30)

    def _d(self, values: dict[str, str]) -> None:
        values["D"] = self._create(PARENT, "empty").name

    def _d_text(self, values: dict[str, str]) -> None:
        values["D_text"] = self._create(PARENT, "texts", "text_extraction_dataset_metadata").name

    def _classification(self, display_name: str, of_type: str, count: int, *, bare: int = 0, wanted: int = 2) -> str:
        """A dataset of images with one label each, red and blue in turn, or the first so many labels' images only."""
        member: Any = {"classification_type": of_type}
        name: str = self._create(PARENT, display_name, "image_classification_dataset_metadata", member).name
        bucket = self.service.bucket(f"cases-{display_name}")
        drawn_images.write_label_dataset(bucket, count, bare=bare)
        rows = (bucket / "labels.csv").read_text(encoding="utf-8").splitlines()
        kept = [row for row in rows if not row.endswith(drawn_images.LABELS[wanted:])]
        if kept:
            with open_api(self.service) as api:
                operation = api.finished(api.start_import(name, drawn_images.write_csv(bucket, "kept.csv", kept)))
            assert not operation.HasField("error"), operation
        return name

    def _d_multilabel(self, values: dict[str, str]) -> None:
        values["D_multilabel"] = self._classification("bare", "MULTILABEL", 0)

    def _d_one_label(self, values: dict[str, str]) -> None:
        values["D_one_label"] = self._classification("one", "MULTICLASS", 4, wanted=1)

    def _d_labels(self, values: dict[str, str]) -> None:
        values["D_labels"] = name = self._classification("labels", "MULTICLASS", 20, bare=2)
        with self._database().read() as connection:
            spec_id, _ = datasets.specs(connection, name.rpartition("/")[2])[0]
        values["D_labels_spec"] = f"{name}/annotationSpecs/{spec_id}"

    _d_labels_spec = _d_labels

    def _new_d(self, values: dict[str, str]) -> None:
        dataset = self._create(PARENT, "fresh")
        values |= {"new_D": dataset.name, "new_etag": dataset.etag}

    def _new_etag(self, values: dict[str, str]) -> None:
        self._new_d(values)

    def _d_ready(self, values: dict[str, str]) -> None:
        csv_uri = drawn_images.write_dataset(self.service.bucket("cases"), 10)
        name = self._create(PARENT, "ready").name
        with open_api(self.service) as api:
            operation = api.finished(api.start_import(name, csv_uri))
        assert not operation.HasField("error"), operation
        with self._database().read() as connection:
            spec_id, label = datasets.specs(connection, name.rpartition("/")[2])[0]
        values |= {"D_ready": name, "D_spec": f"{name}/annotationSpecs/{spec_id}", "D_label": label}

    _d_spec = _d_label = _d_ready

    def _d_busy(self, values: dict[str, str]) -> None:
        values["D_busy"] = self._create(PARENT, "busy").name
        values["D_busy_operation"] = self._run_elsewhere(states.OperationKind.IMPORT_DATA, values["D_busy"])

    _d_busy_operation = _d_busy

    def _d_exporting(self, values: dict[str, str]) -> None:
        values["D_exporting"] = self._create(PARENT, "exporting").name
        values["D_exporting_operation"] = self._run_elsewhere(states.OperationKind.EXPORT_DATA, values["D_exporting"])

    _d_exporting_operation = _d_exporting

    def _d_full(self, values: dict[str, str]) -> None:
        values["D_full"] = self._create(PARENT, "full").name
        for _ in range(4):
            self._run_elsewhere(states.OperationKind.IMPORT_DATA, values["D_full"])

    def _l_third(self, values: dict[str, str]) -> None:
        first, second = self._create(LISTED, "first"), self._create(LISTED, "second")
        third = self._create(LISTED, "third", "text_extraction_dataset_metadata")
        with open_api(self.service) as api:
            pager = api.automl.list_datasets(request={"parent": LISTED, "page_size": 1})
            token = next(iter(pager.pages)).next_page_token
            found = api.stub.ListOperations(operations_pb2.ListOperationsRequest(name=LISTED, page_size=1))
        values |= {"L": LISTED, "L_first": first.name, "L_second": second.name, "L_third": third.name}
        values |= {"L_token": token, "L_operations_token": found.next_page_token}

    _l = _l_first = _l_second = _l_token = _l_operations_token = _l_third

    # ---- models -------------------------------------------------------------------------------------------------

    def _install(self, display_name: str, age_days: float = 0, **columns: Any) -> str:
        model_id = f"IOD{next(_model_numbers)}"
        installed: str = self._tiny_model.install(
            self.service.data_dir, model_id, display_name=display_name, age_days=age_days
        )
        if columns:
            with self._database().write() as connection:
                models.update(connection, model_id, columns)
        return installed

    def _m(self, values: dict[str, str]) -> None:
        values["M"] = self._install("resting")
        with open_api(self.service) as api:
            listed = api.automl.list_model_evaluations(parent=values["M"], filter="")
            by_spec = {evaluation.annotation_spec_id: evaluation.name for evaluation in listed}
        values |= {"E": by_spec[""], "E_spec": by_spec[SPEC_IDS[0]]}

    _e = _e_spec = _m

    def _new_m(self, values: dict[str, str]) -> None:
        values["new_M"] = self._install("fresh")

    def _new_deployed(self, values: dict[str, str]) -> None:
        values["new_deployed"] = self._install("fresh_deployed")
        with open_api(self.service) as api:
            api.deploy(values["new_deployed"])

    def _m_deployed(self, values: dict[str, str]) -> None:
        values["M_deployed"] = self._install("deployed")
        with open_api(self.service) as api:
            api.deploy(values["M_deployed"])

    def _m_labels(self, values: dict[str, str]) -> None:
        model_id = f"ICN{next(_model_numbers)}"
        values["M_labels"] = self._tiny_classifier.install(self.service.data_dir, model_id, display_name="labels")
        with open_api(self.service) as api:
            api.deploy(values["M_labels"])

    def _m_cloud(self, values: dict[str, str]) -> None:
        values["M_cloud"] = self._install("cloud", model_type="cloud-high-accuracy-1")

    def _m_expired(self, values: dict[str, str]) -> None:
        values["M_expired"] = self._install("expired", age_days=600)

    def _m_used(self, values: dict[str, str]) -> None:
        values["M_used"] = self._install("used")
        values["M_used_operation"] = self._run_elsewhere(states.OperationKind.BATCH_PREDICT, values["M_used"])

    _m_used_operation = _m_used

    def _image(self, values: dict[str, str]) -> None:
        values["image"] = base64.b64encode(drawn_images.draw(0).content).decode()

    def _image_urlsafe(self, values: dict[str, str]) -> None:
        values["image_urlsafe"] = base64.urlsafe_b64encode(drawn_images.draw(0).content).decode().rstrip("=")

    # ---- operations ---------------------------------------------------------------------------------------------

    def _database(self) -> database.Database:
        return database.Database(self.service.data_dir / "metadata.sqlite")

    def _run_elsewhere(self, kind: states.OperationKind, works_on: str, request: bytes = b"") -> str:
        """An operation that a worker elsewhere holds for a very long time: it never ends by itself."""
        db = self._database()
        location = names.LocationName.parse("/".join(works_on.split("/")[:4]))
        details = messages.operation_details(kind)
        draft = ledger.Draft(location, f"IOD{next(_operation_numbers)}", kind, request, details, works_on)
        running = {"state": states.OperationState.RUNNING, "lease_owner": "elsewhere", "lease_expires_us": _FAR_US}
        with db.write() as connection:
            name = str(ledger.name_of(ledger.Ledger(db, lease_ttl_s=10)._insert(connection, draft, running)))
        self._elsewhere.add(draft.id)
        db.close()
        return name

    def end(self, name: str) -> None:
        """Cancels an operation that a case has started, and waits for its end; those that run elsewhere have none."""
        if name.rpartition("/")[2] not in self._elsewhere:
            with open_api(self.service) as api:
                api.cancel(name)
                api.finished(name)

    def _new_running(self, values: dict[str, str]) -> None:
        values["new_running"] = self._run_elsewhere(states.OperationKind.BATCH_PREDICT, f"{PARENT}/models/IOD1")

    def _o_running(self, values: dict[str, str]) -> None:
        values["O_running"] = self._run_elsewhere(states.OperationKind.BATCH_PREDICT, f"{PARENT}/models/IOD2")

    def _new_done(self, values: dict[str, str]) -> None:
        dataset: Any = {"display_name": "done", "image_object_detection_dataset_metadata": {}}
        with open_api(self.service) as api:
            values["new_done"] = api.automl.create_dataset(parent=PARENT, dataset=dataset).operation.name

    def _o_done(self, values: dict[str, str]) -> None:
        own: dict[str, str] = {}
        self._new_done(own)
        values["O_done"] = own["new_done"]

    def _o_failed(self, values: dict[str, str]) -> None:
        with open_api(self.service) as api:
            values["O_failed"] = api.start_import(self._create(PARENT, "failing").name, "gs://nowhere/at/all.csv")
            assert api.finished(values["O_failed"]).HasField("error")

    def _o_cancelled(self, values: dict[str, str]) -> None:
        values["O_cancelled"] = self._run_elsewhere(states.OperationKind.IMPORT_DATA, self._create(PARENT, "stop").name)
        self._mark_cancelled(values["O_cancelled"])

    def _cancelled_batch(self, model: str) -> str:
        """A batch prediction of ten images that was cancelled before it had begun."""
        bucket = self.service.bucket("cases")
        images = drawn_images.write_images(bucket / "resumed", 10)
        csv_uri = drawn_images.write_csv(bucket, "resumed.csv", [f"gs://cases/resumed/{name}" for name in images])
        request = automl_v1.BatchPredictRequest(
            name=model,
            input_config={"gcs_source": {"input_uris": [csv_uri]}},
            output_config={"gcs_destination": {"output_uri_prefix": "gs://cases/resumed-out/"}},
        )
        serialised = automl_v1.BatchPredictRequest.serialize(request)
        name = self._run_elsewhere(states.OperationKind.BATCH_PREDICT, model, serialised)
        self._mark_cancelled(name)
        return name

    def _new_cancelled(self, values: dict[str, str]) -> None:
        values["new_cancelled"] = self._cancelled_batch(self._install("resumed"))

    def _o_orphan(self, values: dict[str, str]) -> None:
        values["O_orphan"] = self._cancelled_batch(f"{PARENT}/models/IOD3")

    def _o_batch(self, values: dict[str, str]) -> None:
        bucket = self.service.bucket("cases")
        rows = [f"gs://cases/done/{name}" for name in drawn_images.write_images(bucket / "done", 2)]
        csv_uri = drawn_images.write_csv(bucket, "done.csv", [*rows, "gs://cases/none.jpg"])
        with open_api(self.service) as api:
            values["O_batch"] = api.start_batch(self._install("finished"), csv_uri, "gs://cases/done-out/")
            assert not api.finished(values["O_batch"], timeout_s=240).HasField("error")

    def _mark_cancelled(self, name: str) -> None:
        error = {"code": 1, "message": "The operation was cancelled."}
        serialised = json_format.ParseDict(error, automl_v1.OperationMetadata.pb()().partial_failures.add())
        with self._database().write() as connection:
            now = database.now_us(connection)
            cancelled = {"state": "CANCELLED", "error": serialised.SerializeToString(), "done_time_us": now}
            free = {"lease_owner": None, "lease_expires_us": None}
            mine = operations.c.id == name.rpartition("/")[2]
            connection.execute(operations.update().where(mine).values(**cancelled, **free))

"""A tiny service behind the doors, datasets and operations in memory; and both doors, really listening."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent import futures
from typing import Any

import grpc
from google.cloud.automl_v1 import types
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2, message, struct_pb2, timestamp_pb2

from boxwright import callers, errors
from boxwright.access import decide
from boxwright.surface import dispatch as dispatch_room
from boxwright.surface import grpc_server, http_server, limits, methods, request_policy, rest_server, waiting

PARENT = "projects/p/locations/us-central1"
TIMEOUT_S = 30.0  # how long a test waits for something that takes milliseconds


class Operations:
    """Operations in memory; `finish` ends one, `asked` tells what the doors' watcher looks for."""

    def __init__(self) -> None:
        self.stored: dict[str, operations_pb2.Operation] = {}
        self.changed = threading.Condition()
        self.asked: set[str] = set()
        self.calls = 0

    def start(self, metadata: message.Message) -> operations_pb2.Operation:
        with self.changed:
            operation = operations_pb2.Operation(name=f"{PARENT}/operations/IOD{len(self.stored) + 1}")
            operation.metadata.Pack(metadata)
            self.stored[operation.name] = operation
            return _copy(operation)

    def finish(self, name: str, response: message.Message) -> operations_pb2.Operation:
        with self.changed:
            self.stored[name].done = True
            self.stored[name].response.Pack(response)
            return _copy(self.stored[name])

    def wait_until_asked(self, count: int) -> None:
        """Waits until the watcher has asked about this many operations at once."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.asked) >= count, TIMEOUT_S), self.asked

    def finished_among(self, names: Collection[str]) -> set[str]:
        with self.changed:
            self.asked = set(names)
            self.changed.notify_all()
            return {name for name in names if name not in self.stored or self.stored[name].done}

    def _get(self, name: str) -> operations_pb2.Operation:
        with self.changed:
            self.calls += 1
            if name not in self.stored:
                raise errors.not_found(f"Operation {name} was not found.")
            return _copy(self.stored[name])

    def get_operation(
        self, request: operations_pb2.GetOperationRequest, caller: callers.Caller
    ) -> operations_pb2.Operation:
        return self._get(request.name)

    def wait_operation(
        self, request: operations_pb2.WaitOperationRequest, caller: callers.Caller
    ) -> operations_pb2.Operation:
        return self._get(request.name)

    def list_operations(
        self, request: operations_pb2.ListOperationsRequest, caller: callers.Caller
    ) -> operations_pb2.ListOperationsResponse:
        with self.changed:
            found = [one for one in self.stored.values() if request.filter != "done=true" or one.done]
            return operations_pb2.ListOperationsResponse(operations=found)

    def delete_operation(
        self, request: operations_pb2.DeleteOperationRequest, caller: callers.Caller
    ) -> empty_pb2.Empty:
        self._get(request.name)
        with self.changed:
            del self.stored[request.name]
        return empty_pb2.Empty()

    def cancel_operation(
        self, request: operations_pb2.CancelOperationRequest, caller: callers.Caller
    ) -> empty_pb2.Empty:
        self._get(request.name)
        with self.changed:
            self.stored[request.name].done = True
            self.stored[request.name].error.code = 1
        return empty_pb2.Empty()

    def resume_operation(
        self, request: operations_pb2.GetOperationRequest, caller: callers.Caller
    ) -> operations_pb2.Operation:
        return self.start(self._get(request.name).metadata)

    def get_operation_progress(
        self, request: operations_pb2.GetOperationRequest, caller: callers.Caller
    ) -> struct_pb2.Struct:
        progress = struct_pb2.Struct()
        progress.update({"done": 3, "finished": self._get(request.name).done})
        return progress


def _copy(operation: operations_pb2.Operation) -> operations_pb2.Operation:
    copied = operations_pb2.Operation()
    copied.CopyFrom(operation)
    return copied


class AutoMl:
    """Datasets in memory; models that fail as they are called: ``IOD5`` raises code 5, ``boom`` is a bug."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self.datasets: dict[str, types.Dataset] = {}
        self.callers: list[callers.Caller] = []

    def create_dataset(self, request: types.CreateDatasetRequest, caller: callers.Caller) -> operations_pb2.Operation:
        self.callers.append(caller)
        dataset = request.dataset
        dataset.name = f"{request.parent}/datasets/IOD{len(self.datasets) + 1}"
        dataset.create_time = timestamp_pb2.Timestamp(seconds=1561066115, nanos=302067000)
        self.datasets[dataset.name] = dataset
        started = self._operations.start(types.OperationMetadata.pb(types.OperationMetadata(create_dataset_details={})))
        return self._operations.finish(started.name, types.Dataset.pb(dataset))

    def get_dataset(self, request: types.GetDatasetRequest, caller: callers.Caller) -> types.Dataset:
        if request.name not in self.datasets:
            raise errors.not_found(f"Dataset {request.name} was not found.")
        return self.datasets[request.name]

    def list_datasets(self, request: types.ListDatasetsRequest, caller: callers.Caller) -> types.ListDatasetsResponse:
        found = [dataset for dataset in self.datasets.values() if request.filter in ("", dataset.display_name)]
        first, size = int(request.page_token or 0), request.page_size or 100
        token = str(first + size) if first + size < len(found) else ""
        return types.ListDatasetsResponse(datasets=found[first : first + size], next_page_token=token)

    def update_dataset(self, request: types.UpdateDatasetRequest, caller: callers.Caller) -> types.Dataset:
        kept = self.datasets[request.dataset.name]
        for path in request.update_mask.paths:
            if path not in ("display_name", "description"):
                raise errors.invalid_argument("update_mask", f"'{path}' cannot be changed.")
            setattr(kept, path, getattr(request.dataset, path))
        return kept

    def get_model(self, request: types.GetModelRequest, caller: callers.Caller) -> types.Model:
        model_id = request.name.rpartition("/")[2]
        if model_id == "boom":
            raise ZeroDivisionError("the secret of the traceback")
        if model_id == "lost":
            raise errors.LeaseLost
        if model_id == "odd":
            return types.Dataset()  # type: ignore[return-value]
        if model_id.startswith("IOD"):
            violation = errors.invalid_argument("name", "why not").details
            raise errors.ApiError(int(model_id[3:]), f"Model {model_id} is as it is: ä", violation)
        return types.Model(
            name=request.name,
            deployment_state=types.Model.DeploymentState.DEPLOYED,
            image_object_detection_model_metadata={"node_count": 2**40, "train_budget_milli_node_hours": 24000},
        )

    def get_model_evaluation(
        self, request: types.GetModelEvaluationRequest, caller: callers.Caller
    ) -> types.ModelEvaluation:
        raise errors.invalid_argument("name", "x" * 20_000)


class Prediction:
    """Answers with the length and digest of the image it was sent; batch prediction starts and stays running."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def predict(self, request: types.PredictRequest, caller: callers.Caller) -> types.PredictResponse:
        image_bytes = types.ExamplePayload.pb(request.payload).image.image_bytes
        score = {"score": 0.1, "bounding_box": {"normalized_vertices": [{"x": 0.32}, {"x": 1, "y": 0.9}]}}
        return types.PredictResponse(
            payload=[{"annotation_spec_id": "7", "display_name": "Tomato", "image_object_detection": score}],
            metadata=dict(request.params)
            | {"bytes": str(len(image_bytes)), "sha256": hashlib.sha256(image_bytes).hexdigest()},
        )

    def batch_predict(self, request: types.BatchPredictRequest, caller: callers.Caller) -> operations_pb2.Operation:
        details = {"input_config": request.input_config}
        return self._operations.start(
            types.OperationMetadata.pb(types.OperationMetadata(batch_predict_details=details, progress_percent=7))
        )


EVERYBODY = decide.OpenDecider()


@dataclasses.dataclass
class House:
    """The tiny services and a dispatcher over them; everything they lack is planned."""

    operations: Operations
    automl: AutoMl
    dispatcher: dispatch_room.Dispatcher


def build_house(decider: dispatch_room.AccessDecider = EVERYBODY) -> House:
    operations = Operations()
    automl = AutoMl(operations)
    services = {
        methods.AUTOML: automl,
        methods.PREDICTION: Prediction(operations),
        methods.OPERATIONS: operations,
    }
    planned = {row.rpc for row in methods.TABLE if not hasattr(services.get(row.service), row.python_name)}
    return House(operations, automl, dispatch_room.Dispatcher(services, decider, planned))


@dataclasses.dataclass
class Doors:
    """Both doors, listening on loopback ports of their own."""

    house: House
    watcher: waiting.OperationNotifier
    executor: futures.ThreadPoolExecutor
    grpc_port: int
    rest_port: int
    loop: asyncio.AbstractEventLoop
    budget: limits.BodyBudget

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.rest_port}"

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Lets the doors' loop turn until something is so."""

        async def turn() -> None:
            async with asyncio.timeout(TIMEOUT_S):
                while not is_so():
                    await asyncio.sleep(0)  # a turn of the loop, not a pause

        asyncio.run_coroutine_threadsafe(turn(), self.loop).result(TIMEOUT_S)


@contextlib.contextmanager
def open_doors(
    *,
    poll_interval_s: float = 0.01,
    hold_s: float = 5.0,
    max_workers: int = 4,
    decider: dispatch_room.AccessDecider = EVERYBODY,
    credentials: grpc.ServerCredentials | None = None,
    request_guard: request_policy.RequestPolicy | None = None,
    bounds: limits.ServerLimits | None = None,
) -> Iterator[Doors]:
    """Runs both doors on one event loop in a thread of its own."""
    house = build_house(decider)
    bounds = bounds or limits.ServerLimits()
    ready: futures.Future[tuple[Doors, Callable[[], None]]] = futures.Future()

    async def run() -> None:
        with futures.ThreadPoolExecutor(max_workers, thread_name_prefix="dispatch") as executor:
            watcher = waiting.OperationNotifier(
                house.operations.finished_among, poll_interval_s, hold_s=hold_s, executor=executor
            )
            budget = limits.BodyBudget(bounds.bodies_bytes)
            bound = {
                "request_guard": request_guard or request_policy.RequestPolicy(),
                "bounds": bounds,
                "budget": budget,
            }
            door = grpc_server.build_grpc_server(house.dispatcher, watcher, executor, **bound)
            app = rest_server.build_rest_app(house.dispatcher, watcher, executor, **bound)
            with http_server.open_listener("127.0.0.1", 0, bounds.connections) as listener:
                grpc_port = door.listen("127.0.0.1:0", credentials)
                await door.start()
                await door.announce(True)
                server = http_server.HttpServer(app, bounds)
                serving = asyncio.create_task(server.serve(sockets=[listener]))
                loop, stopped = asyncio.get_running_loop(), asyncio.Event()
                doors = Doors(house, watcher, executor, grpc_port, listener.getsockname()[1], loop, budget)
                ready.set_result((doors, lambda: loop.call_soon_threadsafe(stopped.set)))
                await stopped.wait()
                watcher.close()
                server.should_exit = True
                await asyncio.gather(serving, door.stop(TIMEOUT_S))

    with futures.ThreadPoolExecutor(1, thread_name_prefix="doors") as thread:
        running = thread.submit(asyncio.run, run())
        running.add_done_callback(lambda ended: ready.done() or ready.set_exception(ended.exception()))
        doors, stop = ready.result(TIMEOUT_S)
        try:
            yield doors
        finally:
            stop()
            running.result(TIMEOUT_S)


def rpc(channel: grpc.Channel, service: str, name: str) -> Callable[..., Any]:
    """A bare stub for one row of the table."""
    row = next(row for row in methods.TABLE if (row.service, row.rpc) == (service, name))
    return channel.unary_unary(
        row.full_name,
        request_serializer=lambda request: request.SerializeToString(),
        response_deserializer=row.response_pb.FromString,
    )

"""How fast the doors answer: GetOperation, GetDataset and Predict, over REST and gRPC, with and without a running batch.

    python -m benchmarks.serving.online [--quick] [--model-dir DIR] [--callers 8] [--seconds 10]

Starts a service of its own and loads it from this process, so both share the machine's cores. `--model-dir` is the folder of
a trained model (below `models/` of a service's data directory); without it a network of the real size with random weights
is used, which costs what a trained one costs and finds a few boxes. The last line is one JSON object.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import io
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import numpy as np
from google.cloud import automl_v1
from google.cloud.automl_v1.services.auto_ml.transports import AutoMlGrpcTransport
from google.cloud.automl_v1.services.prediction_service.transports import PredictionServiceGrpcTransport
from google.longrunning import operations_pb2
from PIL import Image

from benchmarks.harness import arguments, results, serving
from benchmarks.harness.serving import MODEL, PARENT

SIZE_HW = (480, 640)
Call = Callable[[], Awaitable[None]]


@dataclasses.dataclass(frozen=True)
class Measured:
    """One line of the table."""

    method: str
    door: str
    batch: bool
    requests_per_s: float
    p50_ms: float
    p99_ms: float


def draw(seed: int) -> bytes:
    """A JPEG of coarse noise, the size of a small photograph."""
    pixels = np.random.default_rng(seed).integers(0, 255, (SIZE_HW[0] // 16, SIZE_HW[1] // 16, 3), np.uint8)
    target = io.BytesIO()
    Image.fromarray(pixels).resize(SIZE_HW[::-1], Image.Resampling.BICUBIC).save(target, "JPEG", quality=85)
    return target.getvalue()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class HttpCaller:
    """One kept-alive HTTP connection that sends the same request again and again, at little cost of its own."""

    def __init__(self, port: int, verb: str, path: str, body: bytes = b"") -> None:
        self._port = port
        head = f"{verb} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        self._request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def call(self) -> Call:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)

        async def send() -> None:
            writer.write(self._request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.decode())

        return send


class RpcCaller:
    """One gRPC channel that sends the same request again and again."""

    def __init__(self, port: int, rpc: str, request: bytes) -> None:
        self._target, self._rpc, self._request = f"127.0.0.1:{port}", rpc, request

    async def call(self) -> Call:
        channel = grpc.aio.insecure_channel(self._target, [("grpc.use_local_subchannel_pool", 1)])
        stub = channel.unary_unary(self._rpc)

        async def send() -> None:
            await stub(self._request)

        return send


async def measure(caller: HttpCaller | RpcCaller, callers: int, seconds: float) -> tuple[float, float, float]:
    """Requests per second, p50 and p99 in ms, with that many callers who never pause."""
    calls = [await caller.call() for _ in range(callers)]
    await asyncio.gather(*(call() for call in calls))  # connections are up, caches warm
    elapsed_s: list[float] = []
    started_s = time.perf_counter()

    async def repeat(call: Call) -> None:
        while (before_s := time.perf_counter()) < started_s + seconds:
            await call()
            elapsed_s.append(time.perf_counter() - before_s)

    await asyncio.gather(*(repeat(call) for call in calls))
    rate = len(elapsed_s) / (time.perf_counter() - started_s)
    p50, p99 = np.percentile(elapsed_s, [50, 99]) * 1e3
    return rate, float(p50), float(p99)


class Bench:
    """A running service with a data set, a finished operation, a deployed model and a list of images."""

    def __init__(self, folder: pathlib.Path, model_dir: pathlib.Path | None, images: int) -> None:
        self.folder = folder
        self.port, self.grpc_port = free_port(), free_port()
        if model_dir is None:
            model_dir = folder / "model"
            serving.make_model(model_dir)
        serving.install(folder / "data", model_dir)
        bucket = folder / "buckets" / "bench"
        bucket.mkdir(parents=True)
        for number in range(images):
            (bucket / f"{number}.jpg").write_bytes(draw(number))
        (bucket / "list.csv").write_text("".join(f"gs://bench/{number}.jpg\n" for number in range(images)))
        command = [sys.executable, "-m", "boxwright.cli", "serve", "--data-dir", str(folder / "data")]
        command += ["--buckets", str(bucket.parent), "--port", str(self.port), "--grpc-port", str(self.grpc_port)]
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}")
        grpc.channel_ready_future(self.channel).result(60)
        self.automl: Any = automl_v1.AutoMlClient(transport=AutoMlGrpcTransport(channel=self.channel))
        transport = PredictionServiceGrpcTransport(channel=self.channel)
        self.prediction: Any = automl_v1.PredictionServiceClient(transport=transport)
        dataset: Any = {"display_name": "bench", "image_object_detection_dataset_metadata": {}}
        operation = self.automl.create_dataset(parent=PARENT, dataset=dataset)
        self.operation, self.dataset = operation.operation.name, operation.result().name
        self.image = draw(10_000)
        payload: Any = {"image": {"image_bytes": self.image}}
        self.prediction.predict(name=MODEL, payload=payload)

    def start_batch(self) -> str:
        """Starts a batch over every image; returns the operation's name."""
        name: str = self.prediction.batch_predict(
            name=MODEL,
            input_config={"gcs_source": {"input_uris": ["gs://bench/list.csv"]}},
            output_config={"gcs_destination": {"output_uri_prefix": "gs://bench/out/"}},
            params={},
        ).operation.name
        return name

    def is_done(self, name: str) -> bool:
        return bool(self.automl.transport.operations_client.get_operation(name).done)

    def callers(self, method: str) -> dict[str, HttpCaller | RpcCaller]:
        """Who sends a method, by door."""
        if method == "Predict":
            body = json.dumps({"payload": {"image": {"imageBytes": base64.b64encode(self.image).decode()}}}).encode()
            request = automl_v1.PredictRequest.serialize(
                {"name": MODEL, "payload": {"image": {"image_bytes": self.image}}}
            )
            rpc = "/google.cloud.automl.v1.PredictionService/Predict"
            rest = HttpCaller(self.port, "POST", f"/v1/{MODEL}:predict", body)
        elif method == "GetDataset":
            request = automl_v1.GetDatasetRequest.serialize({"name": self.dataset})
            rpc = "/google.cloud.automl.v1.AutoMl/GetDataset"
            rest = HttpCaller(self.port, "GET", f"/v1/{self.dataset}")
        else:
            request = operations_pb2.GetOperationRequest(name=self.operation).SerializeToString()
            rpc = "/google.longrunning.Operations/GetOperation"
            rest = HttpCaller(self.port, "GET", f"/v1/{self.operation}")
        return {"REST": rest, "gRPC": RpcCaller(self.grpc_port, rpc, request)}

    def close(self) -> None:
        self.channel.close()
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


def run(bench: Bench, callers: int, seconds: float) -> list[Measured]:
    """Measures every method through every door, first alone, then beside a batch that is kept running."""
    found = []
    for with_batch in (False, True):
        batch = bench.start_batch() if with_batch else ""
        for method in ("GetOperation", "GetDataset", "Predict"):
            for door, caller in bench.callers(method).items():
                if with_batch and bench.is_done(batch):
                    batch = bench.start_batch()
                rate, p50_ms, p99_ms = asyncio.run(measure(caller, callers, seconds))
                found.append(Measured(method, door, with_batch, round(rate, 1), round(p50_ms, 2), round(p99_ms, 2)))
        if batch:
            bench.automl.transport.operations_client.cancel_operation(batch)
    return found


def main() -> int:
    parser = arguments.parser(__doc__, quick="one second a line, under 45 s in all")
    parser.add_argument("--model-dir", type=pathlib.Path, help="folder of a trained model")
    parser.add_argument("--callers", type=int, default=8, help="how many call at once (default 8)")
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds a line (default 10)")
    options = parser.parse_args()
    seconds = 1.0 if options.quick else options.seconds
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(pathlib.Path(folder), options.model_dir, images=200 if options.quick else 1000)
        try:
            found = run(bench, options.callers, seconds)
        finally:
            bench.close()
    print(f"{options.callers} callers, {seconds:g} s a line")
    print(f"{'method':<14}{'door':<6}{'batch':<9}{'requests/s':>11}{'p50 ms':>9}{'p99 ms':>9}")
    for one in found:
        running = "running" if one.batch else "-"
        print(f"{one.method:<14}{one.door:<6}{running:<9}{one.requests_per_s:>11}{one.p50_ms:>9}{one.p99_ms:>9}")
    lines = [dataclasses.asdict(one) for one in found]
    results.close(
        __file__,
        options,
        {"callers": options.callers, "seconds": seconds, "lines": lines},
        source="docs/benchmarks.md",
        conditions=f"{options.callers} callers, {seconds:g} s a line; the callers share the machine",
        figures={
            f"{one.method}_{one.door}{'_beside_a_batch' if one.batch else ''}": line
            for one, line in zip(found, lines, strict=True)
        },
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

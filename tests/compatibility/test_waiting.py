"""A thousand clients wait at once: they take no thread each, slow nobody down, and hear of the end when it happens."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

import grpc
import psutil
from google.cloud import automl_v1
from google.longrunning import operations_pb2
from google.protobuf import duration_pb2, empty_pb2
from tests.support.clients import case_world

from boxwright import names, states
from boxwright.metadata import database
from boxwright.operations import ledger

CLIENTS, CHANNELS, CALLS = 1000, 10, 100
TIMEOUT_S = 120
WAIT = "/google.longrunning.Operations/WaitOperation"
GET_DATASET = "/google.cloud.automl.v1.AutoMl/GetDataset"
MAX_MORE_THREADS = 32  # the pool for requests has 16 and grows to that as it is used
MAX_SLOW_S = 0.5  # the 95th percentile of a call meanwhile
BUSY_FACTOR = 20  # of the median of a call alone: on a busy machine that is slow too


async def get_dataset_s(channel: grpc.aio.Channel, name: str) -> list[float]:
    """How long each of a hundred calls takes, one after the other."""
    call = channel.unary_unary(GET_DATASET)
    request = automl_v1.GetDatasetRequest.serialize({"name": name})
    elapsed_s = []
    for _ in range(CALLS):
        started_s = time.perf_counter()
        await call(request, timeout=TIMEOUT_S)
        elapsed_s.append(time.perf_counter() - started_s)
    return sorted(elapsed_s)


def finish(data_dir: Any, name: str) -> None:
    """Ends the operation as the worker that holds its lease would."""
    db = database.Database(data_dir / "metadata.sqlite")
    lease = ledger.Lease(names.OperationName.parse(name).operation, 0, "elsewhere")
    ledger.Ledger(db, lease_ttl_s=10).finish(lease, lambda connection: empty_pb2.Empty())
    db.close()


async def wait_together(service: Any, operation: str, dataset: str) -> tuple[list[float], list[float], int, float]:
    """Latencies alone and beside the waiting clients, the threads they took, and how late the last one heard."""
    process = psutil.Process(service.process.pid)
    options = [("grpc.use_local_subchannel_pool", 1)]
    # a connection carries a hundred calls at a time; who does not wait has one of its own
    *channels, apart = [grpc.aio.insecure_channel(service.grpc_target, options) for _ in range(CHANNELS + 1)]
    request = operations_pb2.WaitOperationRequest(name=operation, timeout=duration_pb2.Duration(seconds=TIMEOUT_S))
    alone_s = await get_dataset_s(apart, dataset)
    threads = process.num_threads()
    waits = [
        asyncio.ensure_future(
            channels[number % CHANNELS].unary_unary(WAIT)(request.SerializeToString(), timeout=TIMEOUT_S)
        )
        for number in range(CLIENTS)
    ]
    await get_dataset_s(apart, dataset)  # by the end of these the others have all been received
    beside_s = await get_dataset_s(apart, dataset)
    more_threads = process.num_threads() - threads
    assert not any(wait.done() for wait in waits)
    finish(service.data_dir, operation)
    finished_s = time.perf_counter()
    answers = await asyncio.gather(*waits)
    late_s = time.perf_counter() - finished_s
    assert all(operations_pb2.Operation.FromString(answer).done for answer in answers)
    for channel in (*channels, apart):
        await channel.close()
    return alone_s, beside_s, more_threads, late_s


def test_a_thousand_waiting_clients_cost_no_thread_and_no_latency(service_factory: Any) -> None:
    service = service_factory()
    with service.channel() as channel:
        world = case_world.World(service, None, channel)
        dataset = str(world.for_one_test()("D"))
        operation = world._run_elsewhere(states.OperationKind.EXPORT_DATA, dataset)
        alone_s, beside_s, more_threads, late_s = asyncio.run(wait_together(service, operation, dataset))
    shown = [
        f"{name} {statistics.median(one) * 1e3:.1f} ms" for name, one in (("alone", alone_s), ("beside", beside_s))
    ]
    print(f"\nGetDataset p50 {', '.join(shown)}; {more_threads} more threads; the last heard after {late_s:.2f} s")
    assert more_threads <= MAX_MORE_THREADS
    assert beside_s[round(0.95 * CALLS)] < MAX_SLOW_S + BUSY_FACTOR * statistics.median(alone_s)

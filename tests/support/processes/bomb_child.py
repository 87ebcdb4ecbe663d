"""A process that decodes the files named on standard input and says, after each, how large it has become.

One JSON line a file: {"name", "outcome", "peak_bytes"}; the first line, before any file, is {"peak_bytes"}. It may take
`ROOM_BYTES` of addresses more than it has when it starts.
"""

from __future__ import annotations

import io
import json
import pathlib
import resource
import sys

import psutil
from PIL import Image

from boxwright.images import decode

ROOM_BYTES = 256 << 20
FRAME_HW = (288, 384)


def _peak_bytes() -> int:
    # getrusage would count what the parent had when it started this process
    status = pathlib.Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _outcome(data: bytes) -> str:
    try:
        height, width = decode.decode(data, FRAME_HW).size_hw
    except decode.DecodeError as error:
        return error.reason
    return f"{width} x {height}"


def main() -> None:
    """Decodes file after file."""
    for name in ("JPEG", "PNG", "GIF", "BMP", "ICO", "WEBP", "TIFF"):  # what the libraries need once
        target = io.BytesIO()
        Image.new("RGB", (64, 64)).save(target, name)
        _outcome(target.getvalue())
    addresses = psutil.Process().memory_info().vms + ROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (addresses, addresses))
    print(json.dumps({"peak_bytes": _peak_bytes()}), flush=True)
    for line in sys.stdin:
        path = pathlib.Path(line.rstrip("\n"))
        outcome = _outcome(path.read_bytes())
        print(json.dumps({"name": path.name, "outcome": outcome, "peak_bytes": _peak_bytes()}), flush=True)


if __name__ == "__main__":
    main()

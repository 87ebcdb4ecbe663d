"""The worker of a rewriter: small, because there are several."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import boxwright.batch.rewrite.worker_main
print([name for name in ("PIL", "simplejpeg", "openvino", "onnxruntime", "torch") if name in sys.modules])
"""


def test_a_worker_loads_neither_decoders_nor_runtimes():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

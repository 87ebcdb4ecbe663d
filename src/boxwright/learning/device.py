"""What the training computes on: this machine's cores, or a GPU when there is one.

    choose() -> Device
    prepared(threads) -> Device     for a process that trains

On a GPU the same network, loss and schedule run in mixed precision (bfloat16 where the GPU has it) on larger batches. Its
weights are not promised to repeat bit for bit; those of the cores are. Cores that multiply bfloat16 natively (Intel AMX,
AVX-512 BF16) use mixed precision too: a step takes about half the time.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import torch


@dataclasses.dataclass(frozen=True)
class Device:
    """Where tensors live and in which precision convolutions run.

    Attributes:
        name: ``cpu`` or ``cuda``.
        low_precision: of convolutions; None for float32 throughout.
    """

    name: str
    low_precision: torch.dtype | None = None

    @property
    def is_gpu(self) -> bool:
        """Whether batches go to a GPU as a whole instead of to threads in parts."""
        return self.name != "cpu"

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The precision of a forward pass."""
        if self.low_precision is None:
            return contextlib.nullcontext()
        return torch.autocast(self.name, self.low_precision)

    def put(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor where the network is; a copy to a GPU does not wait."""
        return tensor.pin_memory().to(self.name, non_blocking=True) if self.is_gpu else tensor


CPU = Device("cpu")
NATIVE_BFLOAT16 = ("amx_bf16", "avx512_bf16")  # without either, bfloat16 is emulated and slower than float32


def choose() -> Device:
    """The GPU if one is visible and new enough for bfloat16, else the cores, in bfloat16 where they multiply it natively."""
    if torch.cuda.is_available() and torch.cuda.is_bf16_supported():
        return Device("cuda", torch.bfloat16)
    has = torch.cpu.get_capabilities()
    return Device("cpu", torch.bfloat16) if any(has.get(name) for name in NATIVE_BFLOAT16) else CPU


def prepared(threads: int) -> Device:
    """What a process trains on, set up so that equal jobs train equal networks on the cores."""
    where = choose()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # values near zero are slow otherwise
    torch.use_deterministic_algorithms(not where.is_gpu)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # all is written anyway
    return where

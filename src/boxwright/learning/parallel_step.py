"""One step's gradient, computed by independent threads: each takes a part of the batch.

    ParallelStep(network, threads, batch_size, losses).gradients(batch) -> (gradients, losses)
    ParallelStep.map(function, items)                                          other work for the same threads

Splitting the batch beats splitting every convolution: threads meet once a step instead of hundreds of times, so a core
that is briefly wanted by someone else delays a step a little and not every operation in it. Normalisation sees the
statistics of its own part; the running statistics are the mean over the parts. Sums are made in a fixed order, so that
the result depends on the number of threads but not on their timing. A GPU takes the batch as one part.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from boxwright.learning import device

MIN_PART = 2  # images: normalisation over a single one is too noisy
MOST_PARTS = 8  # every part needs the interpreter for 5 to 9 ms of a step, one after the other
# Threads within an operation pay from here on: with two, 98,000 pixels take 1.2 times as long, 1.8 million 0.7 times.
SHARED_PX = 1_000_000

TOTAL = "total"  # the loss whose gradient is taken

T = TypeVar("T")
R = TypeVar("R")


def count_for(threads: int, batch_size: int) -> int:
    """How many parts a batch is split into."""
    return max(1, min(threads, batch_size // MIN_PART, MOST_PARTS))


class PartMean:
    """The mean of one number from each of several threads, known to all of them; the same in any order."""

    def __init__(self, count: int) -> None:
        self._numbers = [0.0] * count
        self._all_there = threading.Barrier(count)

    def __call__(self, part: int, number: float) -> float:
        """Waits for the others.

        Raises:
            BrokenBarrierError: one of them failed.
        """
        self._numbers[part] = number
        self._all_there.wait()
        return sum(self._numbers) / len(self._numbers)

    def give_up(self) -> None:
        """Lets those go who wait."""
        self._all_there.abort()


class StepBatch(Protocol):
    """What a step looks at; `pixels` are (B, H, W, 3) uint8."""

    @property
    def pixels(self) -> npt.NDArray[np.uint8]: ...


class StepLosses(Protocol):
    """Computes the losses of a part of a batch."""

    def __call__(self, view: Any, batch: Any, rows: slice, mean: Callable[[float], float]) -> dict[str, Tensor]:
        """Losses by name; `TOTAL` is the one to minimise.

        Args:
            view: the network, in this part's thread.
            batch: the whole batch.
            rows: of this part.
            mean: from this part's number to the mean over all parts; every part has to ask equally often.
        """


class ParallelStep:
    """Threads with a view of one network each: parameters are shared, running statistics are their own."""

    def __init__(
        self,
        network: nn.Module,
        threads: int,
        batch_size: int,
        losses: StepLosses,
        where: device.Device = device.CPU,
    ) -> None:
        self._where = where
        self._losses_of = losses
        self._count = 1 if where.is_gpu else count_for(threads, batch_size)
        self._threads_each = max(1, threads // self._count)  # within an operation, if it is large
        self._threads = 1  # in this step
        torch.set_num_threads(1)  # of the caller, whose operations are small
        self._network = network
        self._parameters = [one for one in network.parameters() if one.requires_grad]
        self.views: list[Any] = [_view(network) for _ in range(self._count)]
        self._pool = futures.ThreadPoolExecutor(self._count, "shard", _prepare_thread)

    def gradients(self, batch: StepBatch) -> tuple[list[Tensor], dict[str, float]]:
        """The mean gradient over the parts, in the order of the network's parameters that learn, and the mean losses."""
        height, width = batch.pixels.shape[1:3]
        size = len(batch.pixels) // self._count
        bounds = [(part * size, (part + 1) * size) for part in range(self._count)]
        bounds[-1] = (bounds[-1][0], len(batch.pixels))
        mean = PartMean(self._count)
        self._threads = self._threads_each if size * height * width >= SHARED_PX else 1
        waiting = [self._pool.submit(self._part, batch, number, rows, mean) for number, rows in enumerate(bounds)]
        futures.wait(waiting)
        errors = [one.exception() for one in waiting if one.exception() is not None]
        for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
            raise error  # type: ignore[misc]  # the cause comes before those whom it only kept waiting
        parts = [one.result() for one in waiting]
        total = parts[0][0]
        for gradients, _ in parts[1:]:
            torch._foreach_add_(total, gradients)
        if self._count > 1:
            torch._foreach_div_(total, float(self._count))
        self._gather_statistics()
        return total, {name: sum(losses[name] for _, losses in parts) / self._count for name in parts[0][1]}

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Applies a function in the threads, each of which does its operations alone; results come in order."""

        def alone(item: T) -> R:
            torch.set_num_threads(1)
            return function(item)

        return self._pool.map(alone, items)

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _part(
        self, batch: StepBatch, number: int, bounds: tuple[int, int], mean: PartMean
    ) -> tuple[list[Tensor], dict[str, float]]:
        try:
            torch.set_num_threads(self._threads)
            losses = self._losses_of(self.views[number], batch, slice(*bounds), lambda share: mean(number, share))
            terms = torch.stack(list(losses.values())).detach()
            gradients = list(torch.autograd.grad(losses[TOTAL], self._parameters))
            # read last, and at once: each reading waits for a GPU
            return gradients, dict(zip(losses, terms.tolist(), strict=True))
        except BaseException:
            mean.give_up()
            raise

    @torch.no_grad()
    def _gather_statistics(self) -> None:
        """The network's running statistics become the mean of the parts', and every part goes on from there."""
        own = _statistics(self._network)
        theirs = [_statistics(view) for view in self.views]
        if not own:
            return  # a network whose normalisation is folded into its weights
        torch._foreach_copy_(own, theirs[0])
        for buffers in theirs[1:]:
            torch._foreach_add_(own, buffers)
        if len(theirs) > 1:
            torch._foreach_div_(own, float(len(theirs)))
        for buffers in theirs:
            torch._foreach_copy_(buffers, own)


def _statistics(network: nn.Module) -> list[Tensor]:
    return [one for name, one in network.named_buffers() if name.endswith((".running_mean", ".running_var"))]


def _prepare_thread() -> None:
    torch.set_flush_denormal(True)  # values near zero are slow; the switch is per thread
    torch.get_num_threads()  # a thread's number counts from its first operation on, and not what is set before


def _view(network: nn.Module) -> nn.Module:
    view = copy.deepcopy(network).train()
    for own, shared in zip(view.modules(), network.modules(), strict=True):
        own._parameters = shared._parameters
    return view

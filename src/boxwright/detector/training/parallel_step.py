"""One step's gradient, computed by independent threads: each takes a part of the batch.

    ParallelStep(network, threads, batch_size).gradients(batch) -> (gradients, losses)
    ParallelStep.map(function, items)                                  other work for the same threads

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
from typing import TypeVar

import torch
from torch import Tensor

from boxwright.detector.data import augment
from boxwright.detector.network import dense, device, loss

MIN_PART = 2  # images: normalisation over a single one is too noisy
MOST_PARTS = 8  # every part needs the interpreter for 5 to 9 ms of a step, one after the other
# Threads within an operation pay from here on: with two, 98,000 pixels take 1.2 times as long, 1.8 million 0.7 times.
SHARED_PX = 1_000_000

T = TypeVar("T")
R = TypeVar("R")


def count_for(threads: int, batch_size: int) -> int:
    """How many parts a batch is split into."""
    return max(1, min(threads, batch_size // MIN_PART, MOST_PARTS))


class _Mean:
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


class ParallelStep:
    """Threads with a view of one network each: parameters are shared, running statistics are their own."""

    def __init__(
        self, network: dense.Network, threads: int, batch_size: int, where: device.Device = device.CPU
    ) -> None:
        self._where = where
        self._count = 1 if where.is_gpu else count_for(threads, batch_size)
        self._threads_each = max(1, threads // self._count)  # within an operation, if it is large
        self._threads = 1  # in this step
        torch.set_num_threads(1)  # of the caller, whose operations are small
        self._network = network
        self._parameters = [one for one in network.parameters() if one.requires_grad]
        self._views = [_view(network) for _ in range(self._count)]
        self._pool = futures.ThreadPoolExecutor(self._count, "shard", _prepare_thread)
        self._points: dict[tuple[int, int], dense.Points] = {}

    def round_like_int8(self, rounds: bool) -> None:
        """Whether the networks round like int8 in the steps that follow."""
        for view in self._views:
            view.round_like_int8(rounds)

    def gradients(self, batch: augment.Batch) -> tuple[list[Tensor], dict[str, float]]:
        """The mean gradient over the parts, in the order of the network's parameters that learn, and the mean losses."""
        height, width = batch.pixels.shape[1:3]
        if (height, width) not in self._points:
            self._points[height, width] = dense.points_for((height, width)).to(self._where.name)
        size = len(batch.pixels) // self._count
        bounds = [(part * size, (part + 1) * size) for part in range(self._count)]
        bounds[-1] = (bounds[-1][0], len(batch.pixels))
        mean = _Mean(self._count)
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
        self, batch: augment.Batch, number: int, bounds: tuple[int, int], mean: _Mean
    ) -> tuple[list[Tensor], dict[str, float]]:
        try:
            return self._losses(batch, number, slice(*bounds), mean)
        except BaseException:
            mean.give_up()
            raise

    def _losses(
        self, batch: augment.Batch, number: int, rows: slice, mean: _Mean
    ) -> tuple[list[Tensor], dict[str, float]]:
        torch.set_num_threads(self._threads)
        targets = loss.Targets(
            self._where.put(torch.from_numpy(batch.boxes_px[rows])),
            self._where.put(torch.from_numpy(batch.label_indices[rows])),
            self._where.put(torch.from_numpy(batch.present[rows])),
        )
        with self._where.autocast():
            scores, distances = self._views[number](self._where.put(torch.from_numpy(batch.pixels[rows])))
        scores, distances = scores.float(), distances.float()  # losses are sums over many small numbers
        points = self._points[batch.pixels.shape[1], batch.pixels.shape[2]]
        losses = loss.detection_loss(scores, distances, points, targets, lambda quality: mean(number, quality))
        terms = torch.stack([losses.score, losses.box, losses.distribution, losses.total]).detach()
        gradients = list(torch.autograd.grad(losses.total, self._parameters))
        # read last, and at once: each reading waits for a GPU
        return gradients, dict(zip(("score", "box", "distribution", "total"), terms.tolist(), strict=True))

    @torch.no_grad()
    def _gather_statistics(self) -> None:
        """The network's running statistics become the mean of the parts', and every part goes on from there."""
        own = _statistics(self._network)
        theirs = [_statistics(view) for view in self._views]
        if not own:
            return  # a network whose normalisation is folded into its weights
        torch._foreach_copy_(own, theirs[0])
        for buffers in theirs[1:]:
            torch._foreach_add_(own, buffers)
        if len(theirs) > 1:
            torch._foreach_div_(own, float(len(theirs)))
        for buffers in theirs:
            torch._foreach_copy_(buffers, own)


def _statistics(network: dense.Network) -> list[Tensor]:
    return [one for name, one in network.named_buffers() if name.endswith((".running_mean", ".running_var"))]


def _prepare_thread() -> None:
    torch.set_flush_denormal(True)  # values near zero are slow; the switch is per thread
    torch.get_num_threads()  # a thread's number counts from its first operation on, and not what is set before


def _view(network: dense.Network) -> dense.Network:
    view = copy.deepcopy(network).train()
    for own, shared in zip(view.modules(), network.modules(), strict=True):
        own._parameters = shared._parameters
    return view

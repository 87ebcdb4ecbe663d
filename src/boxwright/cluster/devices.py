"""Whether a job's hosts have GPUs: chosen before its first shard, and kept to its end.

A network that a GPU can run goes to hosts with GPUs where the operator says that the cluster has some. If none comes in
time, or the first one cannot use its GPU, hosts without do the job: but only as long as no host has begun with it, since a
GPU computes other digits.
"""

from __future__ import annotations

import logging
import pathlib
import time
from collections.abc import Callable, Mapping

from boxwright.batch.job import BatchJob
from boxwright.cluster import numeric
from boxwright.cluster.cluster_share import ClusterShare
from boxwright.inference.model_folder import ModelError, ModelInfo

log = logging.getLogger(__name__)


class Devices:
    """The choice of one job.

    Args:
        job: its network and its runtime decide what is wished for.
        share: what hosts may have.
        has_come: whether a host with so many GPUs is there.
        known: the class that a former attempt has frozen (`numeric.known`).
    """

    def __init__(
        self, job: BatchJob, share: ClusterShare, has_come: Callable[[float], bool], known: Mapping[str, str] | None
    ) -> None:
        self._has_come = has_come
        self._is_unusable = False
        self._must_have = job.share.runtime == "gpu"
        self._until_s = time.monotonic() + share.gpu_wait_s
        if known is not None:
            self.gpus = share.gpus if numeric.is_of_a_gpu(known) else 0.0
        else:
            self.gpus = share.gpus if job.share.runtime != "cpu" and _suits_a_gpu(job) else 0.0

    def objection(self, found: Mapping[str, str]) -> str:
        """Why a host may not freeze the job's class, in words; empty if it may.

        Args:
            found: its class.
        """
        if not self.gpus or numeric.is_of_a_gpu(found):
            return ""
        self._is_unusable = True
        return "it has a GPU, and cannot use it"

    def falls_back(self) -> bool:
        """Whether the job goes to hosts without GPUs from now on; then `gpus` is 0. Asked until its class is frozen."""
        is_late = time.monotonic() > self._until_s and not self._must_have and not self._has_come(self.gpus)
        if not self.gpus or not (self._is_unusable or is_late):
            return False
        why = "the first host cannot use its GPU" if self._is_unusable else "no host with a GPU has come"
        log.warning("event=gpu_fallback reason=%r", why)
        self.gpus = 0.0
        return True


def _suits_a_gpu(job: BatchJob) -> bool:
    """Whether a GPU can run the network: one in int8 runs on the CPU only."""
    try:
        info = ModelInfo.read(pathlib.Path(job.folders.model))
    except ModelError:
        return False  # said when it is opened
    return info.is_onnx(job.spec.precision or info.precision)

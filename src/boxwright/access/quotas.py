"""How much callers may ask in a minute: calls of a project, failed authentications of an address.

Each process counts what it has answered itself, and over the minute that ends now: a caller who has used up a quota may ask
again when the oldest call of that minute is a minute old.
"""

from __future__ import annotations

import collections
import dataclasses
import threading
import time
from collections.abc import Callable

from google.rpc import code_pb2, error_details_pb2

from boxwright import errors
from boxwright.access import refusals

WINDOW_S = 60.0
MAX_KEYS = 10_000  # projects or addresses; the one that has asked least recently is forgotten
REQUESTS = refusals.QuotaMetric("Requests", "requests", "RequestsPerMinutePerProject")
MODELS = refusals.QuotaMetric("Model creations", "model_creations", "ModelCreationsPerMinutePerProject")
PICTURES = ("GetExampleImage", "GetResultImage")  # a page shows a hundred; threads of their own bound them
PREDICTIONS = refusals.QuotaMetric("Prediction requests", "predict_requests", "PredictRequestsPerMinutePerProject")
_RENEWED = "ACCESS_TOKEN_EXPIRED"  # which clients answer with a new token, and which nobody can guess


@dataclasses.dataclass(frozen=True)
class QuotaLimits:
    """How many in a minute; 0: without limit.

    Attributes:
        requests: of a project, all but predictions.
        models: trainings and imports of models that a project starts.
        predictions: online predictions of a project.
        failed_authentications: of an address.
        tokens: access tokens that are given for an account.
    """

    requests: int = 0
    models: int = 0
    predictions: int = 0
    failed_authentications: int = 0
    tokens: int = 0


class MinuteWindow:
    """Counts what happened in the last minute, for each of many keys; for several threads.

    Args:
        limit: how many may happen; 0: without limit.
        clock: seconds that never go back.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._times: collections.OrderedDict[str, collections.deque[float]] = collections.OrderedDict()

    def take(self, key: str) -> float:
        """Counts one more; returns 0, or if it would be too many, the seconds until it would not be."""
        if not self.limit:
            return 0.0
        with self._lock:
            now_s = self._clock()
            times = self._times.setdefault(key, collections.deque(maxlen=self.limit))
            self._times.move_to_end(key)
            if len(self._times) > MAX_KEYS:
                self._times.popitem(last=False)
            if len(times) == self.limit and now_s - times[0] < WINDOW_S:
                return times[0] + WINDOW_S - now_s
            times.append(now_s)
            return 0.0


class Quotas:
    """Counts calls against quotas.

    Args:
        limits: how many of what are allowed.
        clock: seconds that never go back.
    """

    def __init__(self, limits: QuotaLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._windows = {
            REQUESTS: MinuteWindow(limits.requests, clock),
            MODELS: MinuteWindow(limits.models, clock),
            PREDICTIONS: MinuteWindow(limits.predictions, clock),
        }
        self._failures = MinuteWindow(limits.failed_authentications, clock)
        self._tokens = MinuteWindow(limits.tokens, clock)

    def count(self, rpc: str, project: str) -> None:
        """Counts a call that may be made, and is charged to a project.

        Raises:
            ApiError: RESOURCE_EXHAUSTED with the time after which it may be made again.
        """
        if rpc in PICTURES:
            return
        if rpc == "Predict":
            self._take(PREDICTIONS, project)
            return
        self._take(REQUESTS, project)
        if rpc in ("CreateModel", "ImportModel"):
            self._take(MODELS, project)

    def count_failure(self, address: str, error: errors.ApiError) -> None:
        """Counts credentials that were refused, and what came without any.

        Valid credentials from the same address are not held up: nobody can lock out others behind the same proxy.

        Raises:
            ApiError: RESOURCE_EXHAUSTED with the time after which credentials are looked at again.
        """
        if not _is_failure(error):
            return
        wait_s = self._failures.take(address)
        if wait_s:
            raise refusals.failures_exceeded(self._failures.limit, wait_s)

    def count_token(self, member: str) -> None:
        """Counts an access token that is given for a member.

        Raises:
            ApiError: RESOURCE_EXHAUSTED with the time after which the next one is given.
        """
        wait_s = self._tokens.take(member)
        if wait_s:
            raise refusals.tokens_exceeded(self._tokens.limit, member, wait_s)

    def _take(self, metric: refusals.QuotaMetric, project: str) -> None:
        window = self._windows[metric]
        wait_s = window.take(project)
        if wait_s:
            raise refusals.rate_exceeded(metric, window.limit, project, wait_s)


def _is_failure(error: errors.ApiError) -> bool:
    reasons = [detail.reason for detail in error.details if isinstance(detail, error_details_pb2.ErrorInfo)]
    if error.code == code_pb2.UNAUTHENTICATED:
        return _RENEWED not in reasons
    return "API_KEY_INVALID" in reasons

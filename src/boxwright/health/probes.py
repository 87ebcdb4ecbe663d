"""The probes of one process: whether it is alive, whether it is ready, and the port that says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from boxwright.health.health_server import HealthServer, Page, Text
from boxwright.health.readiness import Look, Readiness


class Probes:
    """Answers probes from its start to its end.

    Args:
        alive: what keeps the process from its work; none: it is alive.
        looks: at what must be there for the work, by name.
        is_open: whether the process takes work, in its own judgement.
        host: address of the port.
        port: for probes alone; 0 picks a free one, None: there is none.
        texts: further pages of that port.

    Raises:
        ApiError: FAILED_PRECONDITION if the port is taken.
    """

    def __init__(
        self,
        alive: Page,
        looks: Mapping[str, Look],
        is_open: Callable[[], bool],
        host: str,
        port: int | None,
        texts: Mapping[str, Text] | None = None,
    ) -> None:
        self._looked_at = (*looks, "process")
        self._is_open = is_open
        self._readiness = Readiness(looks)
        pages: dict[str, Page] = {"/healthz": alive, "/readyz": self.problems}
        self._server = None if port is None else HealthServer(host, port, pages, texts)
        self._host = f"[{host}]" if ":" in host else host

    @property
    def address(self) -> str | None:
        """Of the port; None if there is none."""
        return None if self._server is None else f"http://{self._host}:{self._server.port}"

    def problems(self) -> dict[str, str]:
        """Why the process cannot be given work; empty if it can."""
        return self._readiness.problems() | ({} if self._is_open() else {"process": "starts or stops"})

    def numbers(self) -> dict[str, dict[tuple[str, ...], float]]:
        """The same as a metric: 1 for each look that finds nothing wrong, else 0."""
        problems = self.problems()
        return {"boxwright_ready": {(name,): float(name not in problems) for name in self._looked_at}}

    def start(self) -> None:
        """Begins to look, and to answer."""
        self._readiness.start()
        if self._server is not None:
            self._server.start()

    def close(self) -> None:
        """Ends both."""
        self._readiness.close()
        if self._server is not None:
            self._server.close()

"""Free TCP ports of the loopback interface that stay free for whoever asked, while other test processes ask too.

A port that was only looked up can be gone before a server listens on it: to another test process, or to an outgoing
connection. So ports lie below those that systems give to outgoing connections, and each is reserved by holding the UDP port
of the same number, which nothing here uses and which the system takes back if this process dies.
"""

from __future__ import annotations

import atexit
import collections
import random
import socket

FIRST, LAST = 20_000, 30_000  # Linux gives out 32768 and above, other systems 49152 and above
KEPT = 100  # reservations of one process; the oldest go first, when their servers listen or have ended
LOOPBACK = "127.0.0.1"

_reservations: collections.deque[socket.socket] = collections.deque()
_order = random.SystemRandom()


@atexit.register
def _release() -> None:
    for reservation in _reservations:
        reservation.close()


def free_port() -> int:
    """A port that nothing listens on, and that no other test process is given meanwhile."""
    while True:
        port = _order.randrange(FIRST, LAST)
        reservation = socket.socket(type=socket.SOCK_DGRAM)
        try:
            reservation.bind((LOOPBACK, port))
            with socket.socket() as listener:
                listener.bind((LOOPBACK, port))
        except OSError:
            reservation.close()
            continue
        _reservations.append(reservation)
        if len(_reservations) > KEPT:
            _reservations.popleft().close()
        return port

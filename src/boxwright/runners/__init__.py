"""The work behind each kind of operation. Never sees a request arrive."""

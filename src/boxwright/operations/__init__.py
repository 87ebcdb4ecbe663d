"""Engine: durable work. The ledger of operations, its leases, and the worker that runs them."""

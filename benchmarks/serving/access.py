"""What access control adds to a call: processor time of each kind of credential, and how many tokens are given a second.

    python -m benchmarks.serving.access [--quick] [--calls 5000] [--bindings 1000]

Measures the decision alone, in this process: headers to caller, in a thread where the API servers use one, and the
permission of GetOperation, with a database in a temporary folder. Nothing of HTTP or gRPC is in the figures.
"""

from __future__ import annotations

import asyncio
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any

from google.auth import crypt, jwt

from benchmarks.harness import arguments, results
from boxwright import callers
from boxwright.access import accounts, authenticate, decide, exchange, index, key_files, policies, token_store
from boxwright.metadata import database
from boxwright.surface import dispatch

METHOD = "google.longrunning.Operations.GetOperation"
NEED = (callers.Requirement("automl.operations.get", "projects/demo/locations/us-central1/operations/IOD1", True),)
Headers = list[tuple[str, str]]
THREADS = 16  # request_threads


class Bench:
    """A database with an account that may, among many other bindings, and what it sends."""

    def __init__(self, folder: pathlib.Path, bindings: int) -> None:
        self.db = database.Database(folder / "metadata.sqlite")
        now = int(time.time())
        with self.db.write() as connection:
            account = accounts.create(connection, "bench", "demo")
            content, public_jwk = key_files.new_key(account, "https://localhost/token")
            accounts.add_key(connection, account, content["private_key_id"], public_jwk)
            policies.grant(connection, "projects/demo", "roles/automl.viewer", account.member)
            for number in range(0, bindings, 100):
                members = [f"user:u{number + one}@example.org" for one in range(min(100, bindings - number))]
                policies.write(connection, f"projects/p{number}/locations/l", {"roles/automl.viewer": members})
            holder = token_store.TokenHolder(account.member)
            self.token = token_store.issue(connection, token_store.ACCESS, holder, 3600, now * 1_000_000)
            self.api_key = accounts.add_api_key(connection, account)[1]
        self._signer = crypt.RSASigner.from_string(content["private_key"], content["private_key_id"])
        self._email = account.email
        reader, rules = index.IndexReader(self.db), authenticate.TokenRules()
        authenticator = authenticate.Authenticator(self.db, reader, rules)
        self.decider = decide.PolicyDecider(self.db, reader, authenticator)
        self.tokens = exchange.TokenService(self.db, authenticator, rules)

    def signed(self, audience: str, number: int = 0) -> str:
        """A token that the account signs; each number gives another one."""
        now = int(time.time())
        claims = {"iss": self._email, "aud": audience, "iat": now, "exp": now + 3600, "number": number}
        return str(jwt.encode(self._signer, claims).decode())


def bearer(token: str) -> Headers:
    """The header of a token."""
    return [("authorization", f"Bearer {token}")]


async def cost_us(decider: dispatch.AccessDecider, headers: Callable[[int], Headers], calls: int) -> float:
    """Processor time of a decision, in microseconds: on the loop, or in the pool as the API servers do."""
    loop = asyncio.get_running_loop()
    sent = [headers(number) for number in range(calls)]
    with futures.ThreadPoolExecutor(THREADS) as executor:
        started_s = time.process_time()
        for one in sent:
            caller = decider.admit(METHOD, one, may_wait=False)
            if caller is None:
                caller = await loop.run_in_executor(executor, decider.admit, METHOD, one)
            assert caller is not None
            decider.check(caller, METHOD, NEED)
        return (time.process_time() - started_s) / calls * 1e6


def measure(bench: Bench, calls: int) -> dict[str, float]:
    """Kind of credential → microseconds; and tokens a second."""
    again = bearer(bench.signed(authenticate.GOOGLE_AUDIENCE))
    first = [bearer(bench.signed(authenticate.GOOGLE_AUDIENCE, number)) for number in range(calls // 10)]
    kinds: dict[str, tuple[dispatch.AccessDecider, Callable[[int], Headers], int]] = {
        "open_us": (decide.OpenDecider(), lambda number: again, calls),
        "signed_token_us": (bench.decider, lambda number: again, calls),
        "signed_token_first_time_us": (bench.decider, lambda number: first[number], len(first)),
        "access_token_us": (bench.decider, lambda number: bearer(bench.token), calls),
        "api_key_us": (bench.decider, lambda number: [("x-goog-api-key", bench.api_key)], calls),
    }
    found = {}
    for name, (decider, headers, count) in kinds.items():
        asyncio.run(cost_us(decider, headers, max(1, count // 10)))
        found[name] = round(asyncio.run(cost_us(decider, headers, count)), 1)
    form = {"grant_type": exchange.JWT_BEARER, "assertion": bench.signed(authenticate.GOOGLE_TOKEN_AUDIENCE)}
    count = max(20, calls // 20)
    started_s = time.process_time()
    for _ in range(count):
        assert bench.tokens.answer(form)[0]
    found["tokens_per_cpu_s"] = round(count / (time.process_time() - started_s))
    return found


def main() -> int:
    parser = arguments.parser(__doc__, quick="few calls")
    parser.add_argument("--calls", type=int, default=5000, help="of each kind (default 5000)")
    parser.add_argument("--bindings", type=int, default=1000, help="of other members (default 1000)")
    options = parser.parse_args()
    if options.quick:
        options.calls = 300
    with tempfile.TemporaryDirectory() as temporary:
        bench = Bench(pathlib.Path(temporary), options.bindings)
        found: dict[str, Any] = measure(bench, options.calls)
        bench.db.close()
    for name, value in found.items():
        print(f"{name:28}{value:>10}")
    results.close(
        __file__,
        options,
        {**found, "calls": options.calls, "bindings": options.bindings, "quick": options.quick},
        source="docs/access.md",
        conditions=f"{options.calls} calls of each kind, {options.bindings} bindings of other members",
        figures=found,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

# ruff: noqa: RUF009 — setting makes dataclass fields, which is what defaults are for
"""The settings of the API servers: who may reach them, who may call, and what a request may cost."""

from __future__ import annotations

import dataclasses
import pathlib

from boxwright import errors
from boxwright.settings import fields
from boxwright.settings.fields import Group, setting


@dataclasses.dataclass(frozen=True)
class ServerSettings(Group):
    """Who may reach the service, and what a request may cost."""

    host: str = setting(
        "127.0.0.1", "Address that both API servers listen on; other than loopback needs `access` and TLS."
    )
    port: int = setting(8470, "Port of REST, health and readiness. 0 picks a free one.", check=fields.between(0, 65535))
    grpc_port: int = setting(8471, "Port of gRPC. 0 picks a free one.", check=fields.between(0, 65535))
    access: str = setting(
        "open",
        "Who may call: `open` (everybody, on loopback only) or `required` (accounts, as far as policies allow).",
        check=fields.one_of("open", "required"),
    )
    token_audiences: tuple[str, ...] = setting(
        (), "What callers may sign tokens for beside Google's addresses and this service's, separated by commas."
    )
    token_life_s: float = setting(
        3600.0, "Seconds for which an access token of this service is valid.", check=fields.between(60, 3600)
    )
    clock_skew_s: float = setting(
        60.0, "Seconds by which the clocks of callers who sign tokens may differ.", check=fields.between(0, 600)
    )
    audit_reads: bool = setting(
        False, "Whether calls that only read are lines of the audit log too, beside changes and refusals."
    )
    console: bool = setting(True, "Whether `/console/` serves the console, the pages for a browser.")
    console_providers: tuple[str, ...] = setting(
        (), "Names of identity providers at which people sign in to the console, separated by commas; none: by token."
    )
    console_scope: str = setting(
        "openid email",
        "What the console asks those providers for: names separated by spaces, `openid` among them.",
        check=fields.asks_for_openid,
    )
    tls_cert: pathlib.Path | None = setting(None, "Certificate chain (PEM) for both API servers; needs `tls_key`.")
    tls_key: pathlib.Path | None = setting(None, "Private key (PEM) of `tls_cert`.")
    tls_client_ca: pathlib.Path | None = setting(
        None, "Certificates (PEM) of authorities: clients need a certificate from one of them; unset: they need none."
    )
    public_url: str | None = setting(
        None, "Where callers reach REST through a proxy, `https://HOST`: its host and its origin are served."
    )
    allowed_hosts: tuple[str, ...] = setting(
        (),
        "Host names that requests may be sent to beside the service's own, separated by commas; `*.example.org` too.",
    )
    allowed_origins: tuple[str, ...] = setting(
        (), "Origins whose pages may send requests beside the service's own, `https://HOST`, separated by commas."
    )
    trusted_proxies: tuple[str, ...] = setting(
        (),
        "Networks of proxies that do TLS, `10.0.0.0/8`, separated by commas; without `tls_cert`, others are refused.",
        check=fields.has_networks,
    )
    head_timeout_s: float = setting(
        10.0,
        "Seconds within which the head of a request, or the handshake of a connection, must be complete.",
        check=fields.between(0.1, 3600),
    )
    body_timeout_s: float = setting(
        30.0, "Seconds for which the body of a request may be silent.", check=fields.between(0.1, 3600)
    )
    connections: int = setting(
        1000, "Connections that each API server keeps open at most.", check=fields.between(1, 1_000_000)
    )
    body_bytes: int = setting(
        1_048_576,
        "Longest body of a request, in bytes; an image for Predict: 48 MiB.",
        check=fields.between(1024, 1 << 30),
    )
    bodies_bytes: int = setting(
        536_870_912,
        "Memory for the bodies of all requests at both API servers, in bytes; beyond it, UNAVAILABLE.",
        check=fields.between(1 << 26, 1 << 50),
    )
    grpc_streams: int = setting(
        100, "Calls that one gRPC connection carries at the same time.", check=fields.between(1, 1_000_000)
    )
    grpc_metadata_bytes: int = setting(
        16_384, "Longest metadata of a gRPC call, in bytes.", check=fields.between(4096, 1 << 20)
    )
    grpc_connection_age_s: float = setting(
        3600.0,
        "Seconds after which a gRPC connection takes no new calls; running ones go on, clients connect anew.",
        check=fields.between(1, 1 << 20),
    )
    locations: tuple[str, ...] = setting(
        ("us-central1",), "Location ids served here, separated by commas.", check=fields.has_locations
    )
    hold_s: float = setting(
        5.0,
        "Seconds for which GetOperation of a running operation is held open, from its second poll on; 0 for never.",
        check=fields.between(0, 60),
    )
    request_threads: int = setting(
        16,
        "Threads that answer API calls; half as many more answer those that decode images.",
        check=fields.between(1, 1000),
    )
    log_level: str = setting("INFO", "Least severe log level written to standard error.", check=fields.is_log_level)
    log_format: str = setting(
        "text", "Lines of the log: `text` for people, `json` for a collector.", check=fields.one_of("text", "json")
    )
    drain_s: float = setting(
        0.0,
        "Seconds for which `serve` still answers after SIGTERM, while `/readyz` says that it stops.",
        check=fields.between(0, 300),
    )

    @property
    def decoding_threads(self) -> int:
        """Threads for the calls that decode images."""
        return max(1, self.request_threads // 2)

    @property
    def requires_accounts(self) -> bool:
        """Whether callers need an account."""
        return self.access == "required"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.tls_cert is None) != (self.tls_key is None):
            raise errors.invalid_argument("tls_cert", "TLS needs both the certificate and its key.")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise errors.invalid_argument(
                "tls_client_ca", "Client certificates need TLS: set tls_cert and tls_key too."
            )


@dataclasses.dataclass(frozen=True)
class QuotaSettings(Group):
    """How much callers may ask and have; 0: without limit. The rates hold where accounts are required."""

    requests_per_minute: int = setting(
        600,
        "Requests of a project in a minute, all but `Predict`, where `access` is `required`; 0: without limit.",
        name="quota_requests_per_minute",
        check=fields.between(0, 1_000_000),
    )
    models_per_minute: int = setting(
        10,
        "Trainings that a project may start in a minute, where `access` is `required`; 0: without limit.",
        name="quota_models_per_minute",
        check=fields.between(0, 1_000_000),
    )
    predict_per_minute: int = setting(
        0,
        "`Predict` calls of a project in a minute, where `access` is `required`; 0: without limit.",
        name="quota_predict_per_minute",
        check=fields.between(0, 1_000_000),
    )
    failed_authentications_per_minute: int = setting(
        30,
        "Calls of an address in a minute that have no valid credentials; 0: without limit.",
        name="quota_failed_authentications_per_minute",
        check=fields.between(0, 1_000_000),
    )
    tokens_per_minute: int = setting(
        60,
        "Access tokens that an account is given in a minute, by `/token` and for others; 0: without limit.",
        name="quota_tokens_per_minute",
        check=fields.between(0, 1_000_000),
    )
    operations: int = setting(
        1000,
        "Unfinished operations that a project may have; 0: without limit.",
        name="quota_operations",
        check=fields.between(0, 1_000_000_000),
    )
    datasets: int = setting(
        0,
        "Datasets that a project may have; 0: without limit.",
        name="quota_datasets",
        check=fields.between(0, 1 << 40),
    )
    models: int = setting(
        0,
        "Models that a project may have, with those in training; 0: without limit.",
        name="quota_models",
        check=fields.between(0, 1 << 40),
    )
    stored_bytes: int = setting(
        0,
        "Bytes that the models of a project may take before no training of it begins; 0: without limit.",
        name="quota_stored_bytes",
        check=fields.between(0, 1 << 60),
    )
    batch_jobs_waiting_max: int = setting(
        0,
        "Batch predictions of a project that may wait for a worker; 0: without limit.",
        name="batch_jobs_waiting_max",
        check=fields.between(0, 1_000_000_000),
    )
    batch_images_a_day_max: int = setting(
        0,
        "Images of a project that batch predictions work on in a day of UTC before no new one is taken; 0: without limit.",
        name="batch_images_a_day_max",
        check=fields.between(0, 1 << 60),
    )

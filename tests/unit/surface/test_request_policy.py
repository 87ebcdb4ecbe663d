"""Which requests the guard lets pass, by host, origin and site."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from boxwright import errors
from boxwright.surface import certificate_files, request_policy

API = "/v1/projects/p/locations/l/datasets"
OPEN = request_policy.RequestPolicy()
CHOSEN = request_policy.RequestPolicy(
    "127.0.0.1",
    ["boxes.example.net", "*.wild.example.net", "192.0.2.7"],
    ["Named.Example.", "*.below.example", "[2001:db8::1]", "bücher.example"],
    ["https://pages.example"],
    "https://public.example/",
)


def judged(
    found: request_policy.RequestPolicy,
    verb: str = "GET",
    path: str = API,
    *,
    scheme: str = "http",
    **headers: str | list[str],
) -> str:
    """The name of the refusal's code, or OK; `host` is `localhost:8470` unless it is given."""
    sent = {"host": "localhost:8470"} | headers
    pairs = []
    for name, value in sent.items():
        pairs += [(name.replace("_", "-"), one) for one in ([value] if isinstance(value, str) else value)]
    try:
        found.judge(verb, path, pairs, scheme)
    except errors.ApiError as error:
        return error.code_name
    return "OK"


HOSTS = [
    (OPEN, "localhost", "OK"),
    (OPEN, "LocalHost.:1", "OK"),
    (OPEN, "automl.localhost:50443", "OK"),
    (OPEN, "127.0.0.1:8470", "OK"),
    (OPEN, "127.1.2.3", "OK"),
    (OPEN, "[::1]:8470", "OK"),
    (OPEN, "[0:0:0:0:0:0:0:1]", "OK"),
    (OPEN, "[::ffff:127.0.0.1]", "OK"),
    (OPEN, "evil.example:8470", "PERMISSION_DENIED"),
    (OPEN, "localhost.evil.example", "PERMISSION_DENIED"),
    (OPEN, "127.0.0.1.evil.example", "PERMISSION_DENIED"),
    (OPEN, "evillocalhost", "PERMISSION_DENIED"),
    (OPEN, "0.0.0.0:8470", "PERMISSION_DENIED"),
    (OPEN, "2130706433", "PERMISSION_DENIED"),
    (OPEN, "192.0.2.7", "PERMISSION_DENIED"),
    (OPEN, "[::]", "PERMISSION_DENIED"),
    (OPEN, "localhost..", "PERMISSION_DENIED"),
    (OPEN, "", "INVALID_ARGUMENT"),
    (OPEN, " ", "INVALID_ARGUMENT"),
    (OPEN, [], "INVALID_ARGUMENT"),
    (OPEN, ["localhost", "localhost"], "INVALID_ARGUMENT"),
    (OPEN, "localhost, evil.example", "INVALID_ARGUMENT"),
    (OPEN, "evil.example@localhost", "INVALID_ARGUMENT"),
    (OPEN, "localhost@evil.example", "INVALID_ARGUMENT"),
    (OPEN, "localhost/evil.example", "INVALID_ARGUMENT"),
    (OPEN, "http://localhost", "INVALID_ARGUMENT"),
    (OPEN, "localhost:", "INVALID_ARGUMENT"),
    (OPEN, "localhost:99999", "INVALID_ARGUMENT"),
    (OPEN, "[::1", "INVALID_ARGUMENT"),
    (OPEN, "::1", "INVALID_ARGUMENT"),
    (OPEN, "[localhost]", "INVALID_ARGUMENT"),
    (OPEN, "löcalhost", "INVALID_ARGUMENT"),
    (CHOSEN, "boxes.example.net:443", "OK"),
    (CHOSEN, "a.wild.example.net", "OK"),
    (CHOSEN, "a.b.wild.example.net", "PERMISSION_DENIED"),
    (CHOSEN, "wild.example.net", "PERMISSION_DENIED"),
    (CHOSEN, "192.0.2.7", "OK"),
    (CHOSEN, "named.example", "OK"),
    (CHOSEN, "a.below.example", "OK"),
    (CHOSEN, "[2001:DB8:0::1]:8470", "OK"),
    (CHOSEN, "xn--bcher-kva.example", "OK"),
    (CHOSEN, "public.example", "OK"),
    (CHOSEN, "pages.example", "PERMISSION_DENIED"),
    (request_policy.RequestPolicy("192.0.2.1"), "192.0.2.1", "OK"),
    (request_policy.RequestPolicy("192.0.2.1"), "localhost", "PERMISSION_DENIED"),
]


@pytest.mark.parametrize(("found", "host", "code"), HOSTS, ids=range(len(HOSTS)))
def test_a_host_is_served_or_not(found: request_policy.RequestPolicy, host: str | list[str], code: str) -> None:
    for verb in ("GET", "POST", "OPTIONS", "BREW"):
        for path in (API, "/", "/nowhere", "/v1/openapi.json"):
            assert judged(found, verb, path, host=host) == code
    for path in request_policy.PROBES:
        assert judged(found, path=path, host=host) == "OK"


ORIGINS = [
    (OPEN, "http", "http://localhost:8470", "OK"),
    (OPEN, "http", "HTTP://LOCALHOST:8470", "OK"),
    (OPEN, "http", "http://localhost", "PERMISSION_DENIED"),  # another port
    (OPEN, "http", "http://localhost:8471", "PERMISSION_DENIED"),
    (OPEN, "http", "https://localhost:8470", "PERMISSION_DENIED"),
    (OPEN, "http", "http://127.0.0.1:8470", "PERMISSION_DENIED"),  # another name
    (OPEN, "https", "https://localhost:8470", "OK"),
    (OPEN, "http", "null", "PERMISSION_DENIED"),
    (OPEN, "http", "", "PERMISSION_DENIED"),
    (OPEN, "http", "*", "PERMISSION_DENIED"),
    (OPEN, "http", "http://evil.example", "PERMISSION_DENIED"),
    (OPEN, "http", "file://", "PERMISSION_DENIED"),
    (OPEN, "http", "http://localhost:8470/", "PERMISSION_DENIED"),  # no origin
    (OPEN, "http", "http://localhost:8470, http://evil.example", "PERMISSION_DENIED"),
    (OPEN, "http", ["http://localhost:8470", "http://evil.example"], "PERMISSION_DENIED"),
    (CHOSEN, "http", "https://pages.example", "OK"),
    (CHOSEN, "http", "https://pages.example:443", "OK"),
    (CHOSEN, "http", "http://pages.example", "PERMISSION_DENIED"),
    (CHOSEN, "http", "https://public.example", "OK"),
    (CHOSEN, "http", "https://named.example", "PERMISSION_DENIED"),  # a host that is served, and no origin of ours
]


@pytest.mark.parametrize(("found", "scheme", "origin", "code"), ORIGINS, ids=range(len(ORIGINS)))
def test_an_origin_is_served_or_not(
    found: request_policy.RequestPolicy, scheme: str, origin: str | list[str], code: str
) -> None:
    for verb in ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "BREW"):
        for path in (API, "/", "/healthz"):
            assert judged(found, verb, path, scheme=scheme, origin=origin) == code


def test_only_the_services_own_pages_and_typed_addresses_pass() -> None:
    for site in ("cross-site", "same-site", "", "Same-Origin", "same-origin, cross-site"):
        for verb in ("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "BREW"):
            assert judged(OPEN, verb, sec_fetch_site=site) == "PERMISSION_DENIED"
    for verb in ("GET", "POST", "DELETE"):
        assert judged(OPEN, verb, sec_fetch_site="same-origin") == "OK"
        assert judged(OPEN, verb, sec_fetch_site="none") == ("OK" if verb == "GET" else "PERMISSION_DENIED")
    assert judged(OPEN, sec_fetch_site=["same-origin", "cross-site"]) == "PERMISSION_DENIED"
    assert judged(CHOSEN, origin="https://pages.example", sec_fetch_site="cross-site") == "PERMISSION_DENIED"


def test_any_page_may_lead_to_the_front_page_and_nowhere_else() -> None:
    led = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert judged(OPEN, path="/", **led) == "OK"
    assert judged(OPEN, path="/", **led | {"host": "evil.example"}) == "PERMISSION_DENIED"
    assert judged(OPEN, path="/", origin="null", **led) == "PERMISSION_DENIED"
    for change in ({"sec_fetch_dest": "iframe"}, {"sec_fetch_mode": "no-cors"}, {"sec_fetch_dest": "empty"}):
        assert judged(OPEN, path="/", **led | change) == "PERMISSION_DENIED"
    for path in ("/v1/openapi.json", API, "//", "/%2e", "/?x"):
        assert judged(OPEN, path=path, **led) == "PERMISSION_DENIED"
    for verb in ("POST", "HEAD", "OPTIONS"):
        assert judged(OPEN, verb, "/", **led) == "PERMISSION_DENIED"


def test_a_grpc_call_is_judged_by_what_a_browser_would_add() -> None:
    OPEN.judge_metadata([("user-agent", "grpc-python"), ("authorization", "Bearer x")])
    CHOSEN.judge_metadata([("origin", "https://pages.example")])
    for sent in (("origin", "null"), ("origin", "http://localhost:8470"), ("sec-fetch-site", "none")):
        with pytest.raises(errors.ApiError) as caught:
            OPEN.judge_metadata([sent])
        assert caught.value.code == code_pb2.PERMISSION_DENIED


WRONG = [
    ({"allowed_hosts": ["*"]}, "allowed_hosts"),
    ({"allowed_hosts": ["http://boxes.example"]}, "allowed_hosts"),
    ({"allowed_hosts": ["boxes.example:8470"]}, "allowed_hosts"),
    ({"allowed_hosts": ["boxes.*.example"]}, "allowed_hosts"),
    ({"allowed_hosts": ["ä" * 100]}, "allowed_hosts"),
    ({"allowed_origins": ["boxes.example"]}, "allowed_origins"),
    ({"allowed_origins": ["null"]}, "allowed_origins"),
    ({"allowed_origins": ["https://boxes.example/path"]}, "allowed_origins"),
    ({"public_url": "boxes.example"}, "public_url"),
    ({"public_url": "https://"}, "public_url"),
]


@pytest.mark.parametrize(("chosen", "setting"), WRONG, ids=range(len(WRONG)))
def test_a_setting_that_cannot_be_read_is_named(chosen: dict, setting: str) -> None:
    with pytest.raises(errors.ApiError) as caught:
        request_policy.RequestPolicy("127.0.0.1", **chosen)
    assert caught.value.details[0].field_violations[0].field == setting


def test_the_names_of_a_certificate_are_read() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "common.example")])
    now = datetime.datetime.now(datetime.UTC)
    plain = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    named = plain.add_extension(
        x509.SubjectAlternativeName(
            [x509.DNSName("*.example.net"), x509.IPAddress(request_policy.ipaddress.ip_address("::1"))]
        ),
        critical=False,
    )
    pem = [one.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM) for one in (plain, named)]
    assert [certificate_files.certificate_names(one) for one in pem] == [[], ["*.example.net", "::1"]]


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=20))
def test_any_headers_are_judged(host: str, origin: str, site: str) -> None:
    assert judged(OPEN, host=host, origin=origin, sec_fetch_site=site) in (
        "OK",
        "PERMISSION_DENIED",
        "INVALID_ARGUMENT",
    )


PEERS = {
    "10.1.2.3": "OK",
    "::ffff:10.1.2.3": "OK",
    "fd00::1": "OK",
    "192.0.2.1": "PERMISSION_DENIED",
    "127.0.0.1": "PERMISSION_DENIED",
    "::1": "PERMISSION_DENIED",
    "": "PERMISSION_DENIED",
    "unix:socket": "PERMISSION_DENIED",
}


@pytest.mark.parametrize("address", PEERS)
def test_without_tls_a_connection_comes_from_a_proxy_that_is_named(address: str) -> None:
    OPEN.judge_peer(address)  # where none is named, from anywhere
    behind = request_policy.RequestPolicy(peers=["10.0.0.0/8", "fd00::/8"])
    if PEERS[address] == "OK":
        behind.judge_peer(address)
        return
    with pytest.raises(errors.ApiError, match="trusted_proxies"):
        behind.judge_peer(address)

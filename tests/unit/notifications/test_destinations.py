"""Which addresses may be named, and which machines are connected to: every known way around is refused."""

from __future__ import annotations

import pytest
from google.rpc import code_pb2

from boxwright import errors
from boxwright.notifications import posting
from boxwright.notifications.destinations import AllowedHosts, WebAddress

ALLOWED = AllowedHosts.of(["hooks.example.com", "hooks.example.com:8443", "8.8.8.8", "[2001:4860:4860::8888]:444"])
REFUSED = [
    "http://hooks.example.com/x",
    "HTTPS://hooks.example.com/x",
    "ftp://hooks.example.com/x",
    "file:///etc/passwd",
    "gopher://hooks.example.com/",
    "https:hooks.example.com/x",
    "https:///hooks.example.com/x",
    "https://",
    "https://hooks.example.com:80/",
    "https://hooks.example.com:0/",
    "https://hooks.example.com:99999/",
    "https://hooks.example.com:8443x/",
    "https://hooks.example.com./",
    "https://sub.hooks.example.com/",
    "https://hooks.example.com.evil.example/",
    "https://user@hooks.example.com/",
    "https://user:password@hooks.example.com/",
    "https://hooks.example.com@127.0.0.1/",
    "https://hooks.example.com#@127.0.0.1/",
    "https://hooks.example.com\\@127.0.0.1/",
    "https://hooks.example.com /",
    "https://hooks.example.com/a b",
    "https://hooks.example.com/\r\nHost: evil",
    "https://hooks.example.com/x#fragment",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://0x7f.0.0.1/",
    "https://127.0.0.0x1/",
    "https://008.8.8.8/",
    "https://010.8.8.8/",
    "https://134744072/",
    "https://8.8.8.8.8/",
    "https://0.0.0.0/",
    "https://0/",
    "https://localhost/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:8.8.8.8]/",
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[2001:4860:4860::8888]/",
    "https://[2001:4860:4860::8888/",
    "https://169.254.169.254/latest/meta-data/",
    "https://metadata.google.internal/",
    "https://10.0.0.1/",
    "https://192.168.1.1/",
    "https://hooks%2eexample%2ecom/",
    "https://ｈooks.example.com/",
    "https://hooks。example。com/",
    "https://hooks_example.com/",
    "https://-hooks.example.com/",
    "https://hooks.example.com/" + "x" * 1000,
]
NOT_PUBLIC = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.0.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1",
    "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1",
    "::10.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001:db8::1", "2002:7f00:1::",
    "2002:a00:1::", "2001:0:4136:e378:8000:63bf:f5ff:fffe", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1",
    "ff02::1", "no address", "",
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_an_address_that_is_not_one_of_an_allowed_host_is_refused(number):
    with pytest.raises(errors.ApiError) as refused:
        ALLOWED.parse(REFUSED[number])
    assert refused.value.code == code_pb2.INVALID_ARGUMENT


@pytest.mark.parametrize("number", range(len(NOT_PUBLIC)))
def test_a_machine_that_is_not_public_is_not_connected_to(number):
    assert not ALLOWED.allows_machine(NOT_PUBLIC[number])


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "::ffff:8.8.8.8", "2001:4860:4860::8888", "64:ff9b::808:808"]
)
def test_a_public_machine_is_connected_to(address):
    assert ALLOWED.allows_machine(address)


def test_addresses_of_allowed_hosts():
    assert ALLOWED.parse("https://hooks.example.com") == WebAddress("hooks.example.com", 443, "/")
    assert ALLOWED.parse("https://HOOKS.Example.com:8443/a?b=c") == WebAddress("hooks.example.com", 8443, "/a?b=c")
    assert ALLOWED.parse("https://8.8.8.8/x") == WebAddress("8.8.8.8", 443, "/x")
    assert ALLOWED.parse("https://[2001:4860:4860:0::8888]:444/") == WebAddress("2001:4860:4860::8888", 444, "/")


def test_a_name_of_a_private_machine_is_connected_to_only_if_its_network_is_listed():
    address = WebAddress("localhost", 8443, "/")
    with pytest.raises(errors.ApiError, match="which is not public"):
        posting.machines_of(address, AllowedHosts.of(["localhost:8443"]))
    listed = AllowedHosts.of(["localhost:8443", "127.0.0.0/8", "::1"])
    assert set(posting.machines_of(address, listed)) <= {"127.0.0.1", "::1"}


def test_a_network_that_is_listed_holds_what_is_mapped_into_it():
    listed = AllowedHosts.of(["10.1.0.0/16"])
    assert listed.allows_machine("10.1.2.3") and listed.allows_machine("::ffff:10.1.2.3")
    assert not listed.allows_machine("10.2.0.1")
    assert not listed.hosts, "a network is no host that a request may name"


@pytest.mark.parametrize("entry", ["", "https://x", "a b", "x:0", "10.0.0.0/99", "10.0.0.1/8", "[::1", "*.example.com"])
def test_what_is_no_host_is_no_setting(entry):
    with pytest.raises(ValueError, match=r"."):
        AllowedHosts.of([entry])

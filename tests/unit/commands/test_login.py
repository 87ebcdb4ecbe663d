"""`boxwright login`: how it waits for a person, and which addresses of an issuer it follows."""

from __future__ import annotations

import argparse
import json
import pathlib

import pytest
from tests.support.access.issuer import Issuer, served

from boxwright import errors
from boxwright.commands import login


def options(issuer: Issuer, tmp_path: pathlib.Path, **changes: object) -> argparse.Namespace:
    usual = {
        "provider": "office",
        "issuer": issuer.url,
        "client_id": "c",
        "client_secret_file": None,
        "scope": "openid",
    }
    place = {
        "out": tmp_path / "login.json",
        "url": "http://127.0.0.1:1",
        "ca": None,
        "client_cert": None,
        "client_key": None,
    }
    return argparse.Namespace(**(usual | place | changes))


def test_it_asks_as_seldom_as_the_issuer_wants(tmp_path: pathlib.Path) -> None:
    answers = [{"error": "authorization_pending"}, {"error": "slow_down"}, {"error": "slow_down"}, {"id_token": "t"}]
    slept: list[float] = []
    with served(Issuer()) as issuer:
        issuer.signed_in = lambda: answers.pop(0)
        begun = {"device_code": "d", "user_code": "U", "verification_uri": "https://v.example", "interval": 3}
        issuer.answers["/device"] = (200, {}, json.dumps(begun).encode())
        with pytest.raises(errors.ApiError, match="Nothing answers at"):  # the service
            login.run(options(issuer, tmp_path), slept.append)
    assert slept == [3.0, 3.0, 8.0, 13.0]


@pytest.mark.parametrize(
    "said",
    [
        {"device_authorization_endpoint": "http://169.254.169.254/device"},
        {"token_endpoint": "ftp://issuer.example/token"},
        {"token_endpoint": "https://user@issuer.example/token"},
        {"device_authorization_endpoint": None},
        {"issuer": "https://another.example"},
    ],
    ids=["plain", "ftp", "credentials", "none", "another issuer"],
)
def test_it_follows_no_other_addresses(tmp_path: pathlib.Path, said: dict[str, object]) -> None:
    with served(Issuer()) as issuer:
        usual = {"issuer": issuer.url, "token_endpoint": f"{issuer.url}/token"}
        document = usual | {"device_authorization_endpoint": f"{issuer.url}/device"} | said
        issuer.answers[login.DISCOVERY] = (200, {}, json.dumps(document).encode())
        with pytest.raises(errors.ApiError):
            login.run(options(issuer, tmp_path))
        assert issuer.asked == [login.DISCOVERY]

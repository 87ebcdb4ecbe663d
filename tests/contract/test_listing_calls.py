"""How often a store is asked for the names below a folder."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import pathlib

import pytest
from tests.support.stores import gcs_double, object_servers, rough_proxy

from boxwright import errors, objects
from boxwright.batch.inputs import addresses
from boxwright.batch.inputs.frozen_names import FrozenNames
from boxwright.objects import listing

NAMES = 2500


def test_a_folder_is_listed_by_one_call_for_each_thousand_names(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with object_servers.double_of_gcs() as server, rough_proxy.before(server.address) as proxy:
        for name, value in server.environment(proxy.address).items():
            monkeypatch.setenv(name, value)
        stores = objects.Stores(tmp_path / "buckets", tmp_path / "state", objects.StoreConfig(gs="cloud"))
        uris = [objects.ObjectUri("gs", object_servers.BUCKET, f"in/{number:05d}.jpg") for number in range(NAMES)]
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda uri: stores.put(uri, b"x"), uris))
        before = proxy.seen.count("GET")
        found = [key for page in stores.keys(objects.ObjectUri("gs", object_servers.BUCKET, "in/")) for key in page]
        assert found == [uri.key for uri in uris]
        assert proxy.seen.count("GET") - before == 3


PAGE_NAMES = 100  # of the servers and the client, for this test
DAYS = ("2026-01", "2026-02")
CAMERA_NAMES = PAGE_NAMES * 11 // 10  # of each camera but the second
CALLS = {  # of 668 names in 7 pages
    "2026-*/cam1/*.jpg": 5,  # for each day once where the camera begins, once where the next day begins; and the end
    "2026-02/*/000*.jpg": 4,
    "2026-*": 3,  # nothing is directly there: whole days are stepped over
    "2027-*/*.jpg": 1,
    "**/00*.jpg": 7,
}


@pytest.mark.parametrize("kind", ["s3", "gs"])
def test_what_a_pattern_rules_out_is_not_listed(
    kind: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", str(PAGE_NAMES))
    monkeypatch.setattr(gcs_double, "PAGE", PAGE_NAMES)
    monkeypatch.setattr(listing, "PAGE_NAMES", PAGE_NAMES)
    opened = object_servers.moto() if kind == "s3" else object_servers.double_of_gcs()
    with opened as server, rough_proxy.before(server.address) as proxy:
        for name, value in server.environment(proxy.address).items():
            monkeypatch.setenv(name, value)
        choices = objects.StoreConfig(schemes=(kind,), gs="cloud")
        stores = objects.Stores(tmp_path / "buckets", tmp_path / "state", choices)
        names = ["0000/a.jpg", "2026-9.jpg"]
        for day in DAYS:
            names += [f"{day}/cam{camera}/{number:04d}.jpg" for camera in (0, 2, 3) for number in range(CAMERA_NAMES)]
            names += [f"{day}/cam1/{number}.jpg" for number in range(3)]
        uris = [objects.ObjectUri(kind, object_servers.BUCKET, name) for name in names]
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda uri: stores.put(uri, b"x"), uris))
        for number, (pattern, calls) in enumerate(CALLS.items(), 1):
            (address,) = addresses.parse(f"{kind}://{object_servers.BUCKET}/{pattern}", stores.schemes)
            before = proxy.seen.count("GET")
            found = _frozen(stores, number, address)
            assert (pattern, proxy.seen.count("GET") - before) == (pattern, calls)
            assert found == [name for name in sorted(names) if address.pattern.fullmatch(name)]
            assert bool(found) == (pattern != "2027-*/*.jpg")
        if kind == "s3":  # a page is deleted in one call
            before = len(proxy.seen)
            stores.delete_below(objects.ObjectUri(kind, object_servers.BUCKET, f"{DAYS[0]}/"))
            calls, deleted = proxy.seen[before:], sum(name.startswith(f"{DAYS[0]}/") for name in names)
            assert collections.Counter(calls) == dict.fromkeys(("GET", "POST"), -(-deleted // PAGE_NAMES))


def _frozen(stores: objects.Stores, number: int, address: addresses.InputAddress) -> list[str]:
    """The keys of the names that a job freezes for an address."""
    output = dataclasses.replace(address.uri, key="out/")
    names = FrozenNames(stores, stores.state("operations/1"), number, address, suffixes=(), output=output)
    with contextlib.suppress(errors.ApiError):
        names.freeze()
    return [objects.ObjectUri.parse(entry.text).key for entry in names.entries()]

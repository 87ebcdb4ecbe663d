"""How often a store is asked for the names below a folder."""

from __future__ import annotations

import concurrent.futures
import pathlib

import pytest
from tests.support.stores import object_servers, rough_proxy

from boxwright import objects

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

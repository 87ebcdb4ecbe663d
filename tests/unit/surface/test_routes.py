"""Which row a verb and a path mean."""

from __future__ import annotations

import pytest
from google.rpc import code_pb2

from boxwright import errors
from boxwright.surface import methods, routes

P = "projects/p/locations/l"
FOUND = [
    # verb, path, rpc, field, name
    ("GET", f"/v1/{P}/datasets", "ListDatasets", "parent", P),
    ("POST", f"/v1/{P}/datasets", "CreateDataset", "parent", P),
    ("PATCH", f"/v1/{P}/datasets/IOD1", "UpdateDataset", "dataset.name", f"{P}/datasets/IOD1"),
    ("POST", f"/v1/{P}/models/IOD1:batchPredict", "BatchPredict", "name", f"{P}/models/IOD1"),
    ("POST", f"/v1/{P}/models/:predict", None, "", ""),  # no id
    ("GET", f"/v1/{P}/models/-/modelEvaluations", "ListModelEvaluations", "parent", f"{P}/models/-"),
    ("GET", f"/v1/{P}/operations", "ListOperations", "name", P),
    ("POST", f"/v1/{P}/operations/IOD1:wait", "WaitOperation", "name", f"{P}/operations/IOD1"),
    ("GET", f"/v1/{P}", "GetLocation", "name", P),
    ("GET", "/v1/projects/a.com:p/locations", "ListLocations", "name", "projects/a.com:p"),  # a colon that is no verb
    ("GET", "/v1/projects/a%2Fb/locations", "ListLocations", "name", "projects/a/b"),  # decoded, once
    ("GET", "/v1/projects/a%252Fb/locations", "ListLocations", "name", "projects/a%2Fb"),
    ("GET", "/v1/projects/%C3%A4+/locations", "ListLocations", "name", "projects/ä+"),
    ("GET", "/v1/projects/%zz/locations", "ListLocations", "name", "projects/%zz"),
    ("GET", f"/v1/{P}/models/IOD1%3Apredict", "GetModel", "name", f"{P}/models/IOD1:predict"),  # an id, not a verb
    ("POST", f"/v1/{P}/models/IOD1:predict:", None, "", ""),
    ("GET", "", None, "", ""),
    ("GET", f"/{P}/models", None, "", ""),  # no version
    ("GET", f"/v1/{P}/Models", None, "", ""),  # paths are case-sensitive
]


@pytest.mark.parametrize("verb, path, rpc, field, name", FOUND, ids=range(len(FOUND)))
def test_a_path_means_its_row(verb: str, path: str, rpc: str | None, field: str, name: str) -> None:
    if rpc is None:
        with pytest.raises(errors.ApiError) as caught:
            routes.find_route(verb, path)
        assert caught.value.code == code_pb2.NOT_FOUND
    else:
        route = routes.find_route(verb, path)
        assert (route.row.rpc, route.field, route.name) == (rpc, field, name)


@pytest.mark.parametrize("row", methods.TABLE, ids=lambda row: row.rpc)
def test_every_row_is_reached_by_its_own_path(row: methods.Method) -> None:
    for path in row.paths:
        plain = path.replace("*", "x").partition("{")
        field, _, rest = plain[2].partition("=")
        name, _, after = rest.partition("}")
        route = routes.find_route(row.verb, f"{plain[0]}{name}{after}")
        assert (route.row, route.field, route.name) == (row, field, name)


def test_shown_text_is_short_valid_and_on_one_line() -> None:
    assert routes.shown("") == ""
    assert routes.shown("a\r\nb\x00") == "a b "
    assert routes.shown("\ud800") == "?"
    assert len(routes.shown("x" * 5000)) == routes.MAX_SHOWN_CHARS + 1

"""Random requests to both doors: whatever arrives, the answer is a proper one. Short by default; the slow test is long.

REST is fuzzed from the OpenAPI description that the service publishes; gRPC with messages made from the descriptors,
whole and damaged, and with bytes that are nothing.
"""

from __future__ import annotations

import itertools
import json
import os
import urllib.parse
from collections.abc import Callable
from typing import Any

import grpc
import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from tests.support.clients import fuzzing
from tests.support.clients.api import PARENT, open_api

from boxwright.surface import methods

SHORT = 6  # examples of each REST operation in each mode, of each rpc in each way
LONG = int(os.environ.get("BOXWRIGHT_FUZZ_EXAMPLES", "560"))  # the same; 560 are more than 50,000 requests
WIRE_CHARACTERS = st.characters(min_codepoint=0x21, max_codepoint=0x7E)


class Target:
    """A running service with a data set, a model's name and a finished operation to aim at."""

    def __init__(self, service: Any, tiny_model: Any) -> None:
        self.service = service
        self._tiny_model = tiny_model
        self._numbers = itertools.count(8_700_000_000_000_000_001)
        self.renew()
        self.kept = self.dataset
        self.renew()

    def renew(self) -> None:
        """Makes all of them anew: requests may have deleted what was there."""
        self.model = self._tiny_model.install(self.service.data_dir, f"IOD{next(self._numbers)}")
        with open_api(self.service) as api:
            dataset = {"display_name": "target", "image_object_detection_dataset_metadata": {}}
            operation = api.automl.create_dataset(parent=PARENT, dataset=dataset)
            self.dataset, self.operation = operation.result(timeout=30).name, operation.operation.name

    @property
    def names(self) -> list[str]:
        """Texts that take a request further than random ones would."""
        ids = [name.rpartition("/")[2] for name in (self.dataset, self.model)]
        paths = [
            "gs://fuzz/a.csv",
            "gs://fuzz/out/",
            "gs://x",
            "displayName",
            "labels",
            "done=true",
            "mobile-versatile-1",
        ]
        return [PARENT, self.dataset, self.model, self.operation, f"{PARENT}/models/-", *ids, *paths, "a", "0.5", ""]

    def aim(self, draw: st.DrawFn, variables: dict[str, str]) -> None:
        """Lets a path often lead to something that exists."""
        known = {"project": "demo", "location": "us-central1"}
        for name, whole in (("dataset", self.dataset), ("model", self.model), ("operation", self.operation)):
            known[name] = whole.rpartition("/")[2]
        for name in variables.keys() & known.keys():
            if draw(st.integers(0, 7)):
                variables[name] = known[name]


def settings(examples: int, *, derandomized: bool) -> hypothesis.settings:
    return hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=derandomized,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )


def fuzz_rest(target: Target, tally: fuzzing.Tally, profile: hypothesis.settings) -> None:
    described = requests.get(target.service.url + "/v1/openapi.json", timeout=30).json()
    schema = schemathesis.openapi.from_dict(described)
    with requests.Session() as session:
        for operation in (found.ok() for found in schema.get_all_operations()):
            target.renew()
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                # a negative case of an operation that takes anything does not exist
                if mode is GenerationMode.POSITIVE or operation.body or operation.query:
                    _fuzz_operation(target, tally, session, operation.as_strategy(generation_mode=mode), profile)


def _fuzz_operation(
    target: Target, tally: fuzzing.Tally, session: requests.Session, cases: Any, profile: hypothesis.settings
) -> None:
    @profile
    @hypothesis.given(st.data(), cases)
    def send(data: st.DataObject, case: Any) -> None:
        target.aim(data.draw, case.path_parameters)
        prepared = requests.Request(**case.as_transport_kwargs(base_url=target.service.url)).prepare()
        tally.take_http(session.send(prepared, timeout=fuzzing.TIMEOUT_S))

    send()


def fuzz_http(target: Target, tally: fuzzing.Tally, profile: hypothesis.settings) -> None:
    """Bodies, paths and queries that follow no description at all."""
    target.renew()
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(target.names) | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=8), inner)
        ),
    )
    bodies = st.binary(max_size=200) | anything.map(lambda value: json.dumps(value).encode())
    urls = st.sampled_from([path for row in methods.TABLE for path in _paths(row, target)]) | st.text(WIRE_CHARACTERS)
    queries = st.text(WIRE_CHARACTERS, max_size=30) | st.dictionaries(
        st.sampled_from(FIELDS), st.sampled_from(target.names) | st.text(max_size=8)
    ).map(lambda given: urllib.parse.urlencode(given, errors="replace"))
    verbs = st.sampled_from(["GET", "POST", "PATCH", "DELETE", "PUT", "OPTIONS", "FROB"])
    with requests.Session() as session:

        @profile
        @hypothesis.given(verbs, urls, queries, bodies)
        def send(verb: str, path: str, query: str, body: bytes) -> None:
            url = f"{target.service.url}/v1/{path.partition('#')[0]}?{query.partition('#')[0]}"
            tally.take_http(session.request(verb, url, data=body, timeout=fuzzing.TIMEOUT_S, allow_redirects=False))

        send()


FIELDS = sorted(
    {field.camelcase_name for row in methods.TABLE for field in row.request_pb.DESCRIPTOR.fields}
    | {"displayName", "imageObjectDetectionDatasetMetadata", "labels", "gcsSource", "inputUris", "image", "imageBytes"}
)


def _fitting_name(row: methods.Method, target: Target) -> str:
    """The name of something that exists, of the kind that the method asks for."""
    kinds = {"datasets": target.dataset, "models": target.model, "operations": target.operation}
    below = row.paths[0].partition("=")[2].partition("}")[0].split("/")
    return kinds.get(below[4], PARENT) if len(below) > 4 else PARENT


def _paths(row: methods.Method, target: Target) -> list[str]:
    start, _, rest = row.paths[0].removeprefix("/v1/").partition("{")
    pattern, _, after = rest.partition("}")
    return [start + _fitting_name(row, target) + after, start + pattern.partition("=")[2].replace("*", "x") + after]


def fuzz_grpc(target: Target, tally: fuzzing.Tally, profile: hypothesis.settings) -> None:
    with grpc.insecure_channel(target.service.grpc_target) as channel:
        for row in methods.TABLE:
            target.renew()
            _fuzz_rpc(target, tally, channel, row, profile)


def _fuzz_rpc(
    target: Target, tally: fuzzing.Tally, channel: grpc.Channel, row: methods.Method, profile: hypothesis.settings
) -> None:
    described = fuzzing.messages(row.request_pb.DESCRIPTOR, target.names, _fitting_name(row, target))
    whole = described.map(lambda values: fuzzing.encoded(row, values))

    @profile
    @hypothesis.given(st.one_of(whole, whole.flatmap(fuzzing.mutated), st.binary(max_size=100)))
    def send(request: bytes) -> None:
        tally.take_rpc(channel, row, request)

    send()


def _run(target: Target, examples: int, *, derandomized: bool) -> fuzzing.Tally:
    tally = fuzzing.Tally()
    for fuzz, times in ((fuzz_rest, 1), (fuzz_grpc, 1), (fuzz_http, 10)):
        fuzz(target, tally, settings(examples * times, derandomized=derandomized))
    assert "event=call_failed" not in target.service.log.read_text(errors="replace")
    with open_api(target.service) as api:  # it still answers as it did
        assert api.automl.get_dataset(name=target.kept).name == target.kept
    print(
        f"\n{tally.total} requests:",
        *(f"{door} {code} {n}" for (door, code), n in sorted(tally.counts.items())),
        sep="\n",
    )
    return tally


@pytest.fixture
def target(service_factory: Callable[..., Any], tiny_model: Any) -> Target:
    return Target(service_factory(), tiny_model)


def test_hundreds_of_random_requests_get_proper_answers(target: Target) -> None:
    assert _run(target, SHORT, derandomized=True).total >= 500


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_very_many_random_requests_get_proper_answers(target: Target) -> None:
    assert _run(target, LONG, derandomized=False).total >= 90 * LONG

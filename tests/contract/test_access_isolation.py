"""Nobody learns of another's things: random policies and calls against a model of IAM, and every id of B tried by A."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from google.cloud import automl_v1
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.support.access import role_table
from tests.support.access.credentials import Account
from tests.support.access.guarded_service import GuardedService, run_guarded_service

PROJECTS = ("demo", "other")
CALLERS = ("ann", "bob", "cid")
BASIC = {"roles/viewer": "roles/automl.viewer", "roles/editor": "roles/automl.editor"}
_numbers = itertools.count(1)
DATASET = {"displayName": "d", "imageObjectDetectionDatasetMetadata": {}}


def location(project: str) -> str:
    return f"projects/{project}/locations/us-central1"


@dataclasses.dataclass
class World:
    """A service with three callers who may do nothing, and a way to call it as the installation's administrator."""

    service: GuardedService
    accounts: dict[str, Account]
    admin: Account
    tokens: dict[str, str]

    def call(self, caller: str, verb: str, path: str, **sent: Any) -> tuple[int, dict[str, Any]]:
        token = self.tokens[caller]
        answer = self.service.http.request(verb, f"/v1/{path}", headers={"Authorization": f"Bearer {token}"}, **sent)
        return answer.status_code, answer.json()

    def new_dataset(self, project: str) -> str:
        code, operation = self.call("admin", "POST", f"{location(project)}/datasets", json=DATASET)
        assert code == 200, operation
        return str(operation["response"]["name"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with run_guarded_service(tmp_path_factory.mktemp("isolation"), "--no-worker") as service:
        registry = service.registry
        accounts = {name: registry.account(name, "home") for name in CALLERS}
        admin = registry.account("admin", "home")
        registry.grant(admin.member, "roles/boxwright.admin", "installation")
        tokens = {name: registry.token(account) for name, account in (accounts | {"admin": admin}).items()}
        yield World(service, accounts, admin, tokens)


class Policies(RuleBasedStateMachine):
    """Grants and revokes roles at random, by the API and by the command's way, and asks after every step."""

    world: World  # set by the test

    @initialize()
    def begin(self) -> None:
        self.datasets = {project: self.world.new_dataset(project) for project in PROJECTS}
        self.absent = {project: f"{location(project)}/datasets/IOD{10**18 + next(_numbers)}" for project in PROJECTS}
        self.bound: set[tuple[str, str, str]] = set()  # resource, role, caller
        self.owned: dict[str, str] = {}  # operation → who has started it
        self.clear()

    def clear(self) -> None:
        for project in PROJECTS:
            for resource in (f"projects/{project}", location(project)):
                self.write(resource)

    def write(self, resource: str) -> None:
        """Makes the service's policy of a resource that of the model, as a client does: read, change, write back."""
        code, policy = self.world.call("admin", "GET", f"{resource}:getIamPolicy")
        assert code == 200, policy
        bindings = [
            {"role": role, "members": [self.world.accounts[caller].member]}
            for holder, role, caller in sorted(self.bound)
            if holder == resource
        ]
        sent = {"policy": {"bindings": bindings, "etag": policy["etag"]}}
        code, answer = self.world.call("admin", "POST", f"{resource}:setIamPolicy", json=sent)
        assert code == 200, answer

    def allowed(self, caller: str, permission: str, resource: str) -> bool:
        """What IAM says: some role on the resource, or on one that it lies in, has the permission."""
        for holder, role, who in self.bound:
            lies_in = resource == holder or resource.startswith(holder + "/")
            has = f"automl.{permission}" in role_table.permissions()[BASIC.get(role, role)]
            if who == caller and lies_in and has:
                return True
        return False

    @rule(
        caller=st.sampled_from(CALLERS),
        project=st.sampled_from(PROJECTS),
        level=st.sampled_from(("project", "location", "dataset")),
        role=st.sampled_from(sorted(role_table.ROLES.values()) + sorted(BASIC)),
        is_granted=st.booleans(),
        by_command=st.booleans(),
    )
    def change(self, caller: str, project: str, level: str, role: str, is_granted: bool, by_command: bool) -> None:
        holders = {"project": f"projects/{project}", "location": location(project), "dataset": self.datasets[project]}
        if (level == "dataset" and role.endswith("predictor")) or (role in BASIC and level != "project"):
            return
        resource, member = holders[level], self.world.accounts[caller].member
        (self.bound.add if is_granted else self.bound.discard)((resource, role, caller))
        registry = self.world.service.registry
        if not by_command:
            self.write(resource)
        elif is_granted:
            registry.grant(member, role, resource)
        else:
            registry.revoke(member, role, resource)

    @rule(caller=st.sampled_from(CALLERS), project=st.sampled_from(PROJECTS))
    def create(self, caller: str, project: str) -> None:
        code, answer = self.world.call(caller, "POST", f"{location(project)}/datasets", json=DATASET)
        assert (code == 200) == self.allowed(caller, "datasets.create", location(project)), answer
        if code == 200:
            self.owned[answer["name"]] = caller

    @rule(caller=st.sampled_from(CALLERS), project=st.sampled_from(PROJECTS))
    def read_and_list(self, caller: str, project: str) -> None:
        there, absent = self.datasets[project], self.absent[project]
        codes = {name: self.world.call(caller, "GET", name) for name in (there, absent)}
        for name, (code, _) in codes.items():
            may = self.allowed(caller, "datasets.get", name)
            assert code == ((200 if name == there else 404) if may else 403), name
        if codes[there][0] == 403 == codes[absent][0]:
            assert _without(codes[there][1], there) == _without(codes[absent][1], absent)
        code, answer = self.world.call(caller, "GET", f"{location(project)}/datasets")
        assert (code == 200) == self.allowed(caller, "datasets.list", location(project))
        names = [one["name"] for one in answer.get("datasets", ())]
        assert all(name.startswith(f"projects/{project}/") for name in names)
        assert (there in names) == (code == 200)

    @rule(caller=st.sampled_from(CALLERS))
    def follow(self, caller: str) -> None:
        for name, starter in list(self.owned.items())[-3:]:
            code, _ = self.world.call(caller, "GET", name)
            may = starter == caller or self.allowed(caller, "operations.get", name.rpartition("/operations")[0])
            assert code == (200 if may else 403), (name, caller, starter)
            absent = f"{name[:-4]}0000"
            may_see = self.allowed(caller, "operations.get", name.rpartition("/operations")[0])
            assert self.world.call(caller, "GET", absent)[0] == (404 if may_see else 403)

    @invariant()
    def own_permissions_are_told(self) -> None:
        asked = ["automl.datasets.get", "automl.models.predict", "automl.datasets.setIamPolicy"]
        for caller, project in itertools.product(CALLERS, PROJECTS):
            resource = self.datasets[project]
            code, answer = self.world.call(
                caller, "POST", f"{resource}:testIamPermissions", json={"permissions": asked}
            )
            expected = [one for one in asked if self.allowed(caller, one.removeprefix("automl."), resource)]
            assert (code, answer.get("permissions", [])) == (200, expected)


def _without(answer: dict[str, Any], name: str) -> str:
    return json.dumps(answer).replace(name, "NAME")


def test_random_policies_are_judged_as_a_model_of_iam_judges_them(world: World) -> None:
    Policies.world = world
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        Policies, settings=hypothesis_settings(max_examples=15, stateful_step_count=25, deadline=None)
    )


@dataclasses.dataclass
class Neighbours:
    """What B has, and A who owns the project beside it."""

    a: str
    dataset: str
    operation: str
    page_token: str


@pytest.fixture(scope="module")
def neighbours(world: World) -> Neighbours:
    registry = world.service.registry
    a = registry.account("a-owner", "a-project")
    registry.grant(a.member, "roles/owner", "projects/a-project")
    world.tokens["a"] = registry.token(a)
    dataset, _ = world.new_dataset("b-project"), world.new_dataset("b-project")
    code, page = world.call("admin", "GET", f"{location('b-project')}/datasets?pageSize=1")
    _, operations = world.call("admin", "GET", f"{location('b-project')}/operations")
    assert code == 200
    return Neighbours("a", dataset, operations["operations"][0]["name"], page["nextPageToken"])


def _id(name: str) -> str:
    return name.rpartition("/")[2]


def _probes(neighbours: Neighbours) -> dict[str, tuple[str, str, Any]]:
    """Requests of A that have an id of B somewhere: verb, path, body."""
    b, own = location("b-project"), location("a-project")
    dataset, operation = neighbours.dataset, neighbours.operation
    found: dict[str, tuple[str, str, Any]] = {}
    for verb in ("GET", "DELETE"):
        found[f"{verb} dataset"] = (verb, dataset, None)
        found[f"{verb} operation"] = (verb, operation, None)
        found[f"{verb} dataset in A"] = (verb, f"{own}/datasets/{_id(dataset)}", None)
        found[f"{verb} operation in A"] = (verb, f"{own}/operations/{_id(operation)}", None)
    for action in ("cancel", "wait", "resume"):
        found[f"{action} operation"] = ("POST", f"{operation}:{action}", {})
        found[f"{action} operation in A"] = ("POST", f"{own}/operations/{_id(operation)}:{action}", {})
    csv = {"inputConfig": {"gcsSource": {"inputUris": ["gs://b/x.csv"]}}}
    found["import"] = ("POST", f"{dataset}:importData", csv)
    found["import in A"] = ("POST", f"{own}/datasets/{_id(dataset)}:importData", csv)
    training = {"displayName": "m", "datasetId": _id(dataset), "imageObjectDetectionModelMetadata": {}}
    found["train in A on a dataset of B"] = ("POST", f"{own}/models", training)
    found["train in B"] = ("POST", f"{b}/models", training)
    found["spec"] = ("GET", f"{dataset}/annotationSpecs/1", None)
    found["spec in A"] = ("GET", f"{own}/datasets/{_id(dataset)}/annotationSpecs/1", None)
    found["progress"] = ("GET", f"{operation}:progress", None)
    found["filter in A"] = ("GET", f"{own}/operations?filter=worksOn%3D{dataset}", None)
    found["filter of the id in A"] = ("GET", f"{own}/operations?filter=operation_id%3D{_id(operation)}", None)
    found["dataset of models in A"] = ("GET", f"{own}/models?filter=dataset_id%3D{_id(dataset)}", None)
    example = "0" * 64
    found["picture"] = ("GET", f"{dataset}/examples/{example}:image", None)
    found["picture in A"] = ("GET", f"{own}/datasets/{_id(dataset)}/examples/{example}:image", None)
    found["look up"] = ("POST", f"{dataset}/examples:lookup", {"sha256": [example]})
    found["look up in A"] = ("POST", f"{own}/datasets/{_id(dataset)}/examples:lookup", {"sha256": [example]})
    found["policy"] = ("GET", f"{dataset}:getIamPolicy", None)
    found["policy in A"] = ("GET", f"{own}/datasets/{_id(dataset)}:getIamPolicy", None)
    found["permissions"] = ("POST", f"{dataset}:testIamPermissions", {"permissions": ["automl.datasets.get"]})
    return found


def test_what_is_anothers_is_answered_like_what_is_not_there(world: World, neighbours: Neighbours) -> None:
    real = _probes(neighbours)
    absent = dataclasses.replace(
        neighbours,
        dataset=f"{location('b-project')}/datasets/IOD9999999999999999999",
        operation=f"{location('b-project')}/operations/IOD8888888888888888888",
    )
    made_up = _probes(absent)
    assert len(real) >= 25
    for what, (verb, path, body) in real.items():
        answers = []
        for named, request in ((neighbours, (verb, path, body)), (absent, made_up[what])):
            code, answer = world.call("a", request[0], request[1], **({} if body is None else {"json": request[2]}))
            text = json.dumps(answer)
            for name, placeholder in ((named.dataset, "DATASET"), (named.operation, "OPERATION")):
                text = text.replace(name, placeholder).replace(_id(name), placeholder)
            answers.append((code, text))
        assert answers[0] == answers[1], what
        assert answers[0][0] != 200 or "IOD" not in answers[0][1], what


def test_a_page_token_of_another_project_leads_nowhere(world: World, neighbours: Neighbours) -> None:
    own = f"{location('a-project')}/datasets"
    code, answer = world.call("a", "GET", f"{own}?pageSize=1&pageToken={neighbours.page_token}")
    assert (code, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert world.call("a", "GET", f"{location('b-project')}/datasets?pageToken={neighbours.page_token}")[0] == 403


def test_wildcards_over_projects_and_locations_are_refused(world: World, neighbours: Neighbours) -> None:
    for name in ("projects/-/locations/us-central1", "projects/a-project/locations/-"):
        for path in (f"{name}/datasets", f"{name}/models", f"{name}/operations", f"{name}/models/-/modelEvaluations"):
            code, answer = world.call("a", "GET", path)
            assert code in (400, 403), (path, answer)


def test_a_routing_header_of_the_client_decides_nothing(world: World, neighbours: Neighbours) -> None:
    from tests.support.access.guarded_service import LOCATION  # the project of somebody else

    from boxwright.surface import methods

    row = next(row for row in methods.TABLE if row.rpc == "ListDatasets")
    stub = world.service.channel.unary_unary(
        row.full_name,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=row.response_pb.FromString,
    )
    metadata = [("authorization", f"Bearer {world.tokens['a']}")]
    routed = [*metadata, ("x-goog-request-params", f"parent={location('a-project')}")]
    with pytest.raises(Exception, match=r"automl\.datasets\.list"):
        stub(automl_v1.ListDatasetsRequest.pb()(parent=LOCATION), metadata=routed, timeout=300)
    assert stub(automl_v1.ListDatasetsRequest.pb()(parent=location("a-project")), metadata=metadata, timeout=300)

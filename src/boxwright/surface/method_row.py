"""One row of the table of methods: what an rpc is, and what can be told from its row alone.

Method           the row
is_set(pb, path) whether a required field (dotted, may end in a oneof) has a value
requirements(…)  the permissions that a request needs, on the resources that it names
reads, starts    rows of the two most frequent kinds
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from google.longrunning import operations_pb2
from google.protobuf import field_mask_pb2, message

from boxwright import names
from boxwright.callers import Requirement

_MESSAGE_TYPE = 11  # FieldDescriptor.TYPE_MESSAGE
NO_PERMISSION = "none"  # of a method that answers every caller who is known
_OF_HOLDER = "*"  # before the dot of a permission: what its policies' holder has, see _HOLDERS
_HOLDERS = {  # collection in a resource name → what its policy's permissions start with
    "projects": "resourcemanager.projects",
    "locations": "automl.locations",
    "datasets": "automl.datasets",
    "models": "automl.models",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method:
    """One rpc: its name, its HTTP rule, its messages and the fields that must be set.

    Attributes:
        service: full name of the gRPC service.
        rpc: name of the rpc inside the service.
        verb: HTTP verb in capitals.
        paths: path templates, each with exactly one variable.
        body: ``*``, the name of the request field the HTTP body fills, or None when the body is ignored.
        request: proto-plus or protobuf class of the request.
        response: proto-plus or protobuf class of the answer.
        result: class of `Operation.response` once a long-running method is done; None for other methods.
        required: dotted request fields without which the call is refused.
        is_ours: whether it is an addition, which no official client knows.
        max_body_bytes: a request's body at most, where that is more than for most methods.
        permission: what the caller needs, or NO_PERMISSION; ``*.x`` is x of whatever kind of resource is named.
        resource: dotted request field with the resource's name, on which the permission is needed.
        or_starter: whether who has started the operation that is named needs no permission.
        dataset_permission: a further one, on the dataset whose id `dataset_field` has.
        dataset_field: dotted request field with the id of a dataset below `resource`.
        post_paths: further path templates, which answer POST with body ``*``.
        only_reads: whether it changes nothing, though its verb is not GET.
        decodes: whether it decodes an image: such calls have threads of their own, so that others need not wait for them.
        cache_control: of an answer that is an HttpBody, for REST; empty: it may not be kept.

    Raises:
        TypeError: the permission or the resource is missing, or there is no such field.
    """

    service: str
    rpc: str
    verb: str
    paths: tuple[str, ...]
    body: str | None = None
    request: Any
    response: Any
    result: Any = None
    required: tuple[str, ...] = ()
    is_ours: bool = False
    max_body_bytes: int = 0
    permission: str = ""
    resource: str = ""
    or_starter: bool = False
    dataset_permission: str = ""
    dataset_field: str = ""
    post_paths: tuple[str, ...] = ()
    only_reads: bool = False
    decodes: bool = False
    cache_control: str = ""

    def __post_init__(self) -> None:
        if not self.permission or not self.resource:
            raise TypeError(f"{self.rpc} needs a permission and the field that names its resource.")
        if self.resource not in self.required:
            raise TypeError(f"{self.rpc}: the field {self.resource} must be required, as it is what is judged.")

    @property
    def dotted_name(self) -> str:
        """The method's name in the details of errors, such as ``google.longrunning.Operations.GetOperation``."""
        return f"{self.service}.{self.rpc}"

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""
        return self.verb == "GET" or self.only_reads

    @property
    def full_name(self) -> str:
        """The gRPC path of the method, such as ``/google.longrunning.Operations/GetOperation``."""
        return f"/{self.service}/{self.rpc}"

    @property
    def python_name(self) -> str:
        """The name of the method on the service object: the rpc in snake case."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", self.rpc).lower()

    @property
    def request_pb(self) -> type[message.Message]:
        """The protobuf class of the request."""
        return pb_class(self.request)

    @property
    def response_pb(self) -> type[message.Message]:
        """The protobuf class of the answer."""
        return pb_class(self.response)

    def wrap(self, request: message.Message) -> Any:
        """Returns the request as the service method takes it; the message is shared, not copied."""
        return self.request.wrap(request) if _is_proto_plus(self.request) else request

    def unwrap(self, response: Any) -> message.Message:
        """Returns the protobuf message behind what the service method answered.

        Raises:
            TypeError: the method answered with another type than the table says.
        """
        if not isinstance(response, self.response):
            raise TypeError(f"{self.rpc} answered {type(response).__name__} instead of {self.response.__name__}")
        answer: message.Message = self.response.pb(response) if _is_proto_plus(self.response) else response
        return answer


def _is_proto_plus(kind: Any) -> bool:
    return hasattr(kind, "wrap")


def pb_class(kind: Any) -> type[message.Message]:
    """Returns the protobuf class of a proto-plus or protobuf class."""
    answer: type[message.Message] = kind.pb() if _is_proto_plus(kind) else kind
    return answer


def is_set(request: message.Message, path: str) -> bool:
    """Tells whether the dotted field has a value; proto3 cannot tell an empty string or list from an absent one."""
    head, _, rest = path.partition(".")
    if head in request.DESCRIPTOR.oneofs_by_name:  # a oneof may carry the name of a field elsewhere, never of its own
        return request.WhichOneof(head) is not None
    field = request.DESCRIPTOR.fields_by_name[head]
    value = getattr(request, head)
    if field.type != _MESSAGE_TYPE or field.is_repeated:
        return bool(value)
    if rest:
        return request.HasField(head) and is_set(value, rest)
    if isinstance(value, field_mask_pb2.FieldMask):
        return bool(value.paths)
    return request.HasField(head)


def requirements(row: Method, request: message.Message) -> tuple[Requirement, ...]:
    """The permissions that a request with all required fields needs; of operations and lists of models see the services."""
    if row.permission == NO_PERMISSION:
        return ()
    resource = str(_value(request, row.resource))
    permission = row.permission
    if permission.startswith(_OF_HOLDER):
        kind = resource.split("/")[-2:][0]
        permission = _HOLDERS.get(kind, f"automl.{kind}") + permission.removeprefix(_OF_HOLDER)
    first = Requirement(permission, resource, row.or_starter)
    if not row.dataset_permission:
        return (first,)
    dataset = f"{resource}/datasets/{_value(request, row.dataset_field)}"
    # what is no id is no dataset's, which the service says
    return (first, Requirement(row.dataset_permission, dataset if names.is_name(dataset) else resource))


def resource_of(row: Method, request: message.Message) -> str:
    """The name of the resource that a request is about, as it has it; empty if it has none."""
    return str(_value(request, row.resource))


def _value(request: message.Message, path: str) -> Any:
    value: Any = request
    for step in path.split("."):
        value = getattr(value, step)
    return value


def reads(
    service: str, rpc: str, path: str, request: type, response: type, required: tuple[str, ...], needs: str,
    **more: Any,
) -> Method:  # fmt: skip
    """A method that reads; `needs` is its permission, on the first of the required fields."""
    return Method(
        service=service, rpc=rpc, verb="GET", paths=(path,), request=request, response=response, required=required,
        permission=f"automl.{needs}", resource=required[0], **more,
    )  # fmt: skip


def starts(
    service: str, rpc: str, route: tuple[str, str, str | None], request: type, result: type, required: tuple[str, ...],
    needs: str, **more: Any,
) -> Method:  # fmt: skip
    """A method that answers with an Operation; `needs` as in `reads`."""
    verb, path, body = route
    return Method(
        service=service, rpc=rpc, verb=verb, paths=(path,), body=body,
        request=request, response=operations_pb2.Operation, result=result, required=required,
        permission=f"automl.{needs}", resource=required[0], **more,
    )  # fmt: skip

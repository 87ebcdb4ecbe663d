"""Grants: which objects somebody may read and write. What is granted adds up; a grant is a bucket or a folder in one.

Texts are compared, character by character: of an address that `ObjectUri` has parsed, without ``..`` and empty segments. A
percent sign, a letter in another case or in another Unicode form is another name. What lies behind a name of a folder of
this machine is judged once more, with symbolic links followed; see `Limits`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from google.rpc import code_pb2, error_details_pb2

from boxwright import errors
from boxwright.objects.uris import STATE, ObjectUri, bad_uri

READ, LIST, WRITE = "storage.objects.get", "storage.objects.list", "storage.objects.create"
PERMISSIONS = (READ, LIST, WRITE)
DOMAIN = "storage.googleapis.com"


@dataclasses.dataclass(frozen=True)
class Grant:
    """A bucket, or a folder in one, and what may be done in it.

    Attributes:
        scheme: of the bucket's address.
        bucket: its name; empty for ``file://``.
        prefix: the folder, ending in ``/``; empty for all of the bucket.
        can_read: whether objects may be read, and listed.
        can_write: whether objects may be written.
    """

    scheme: str
    bucket: str
    prefix: str = ""
    can_read: bool = False
    can_write: bool = False

    @classmethod
    def parse(cls, text: str, *, can_read: bool = False, can_write: bool = False) -> Grant:
        """Makes a grant of an address such as ``gs://photos/in/``.

        Raises:
            BadUri: INVALID_ARGUMENT: it is no address of a bucket or folder.
        """
        uri = ObjectUri.parse(text)
        if uri.scheme == STATE:
            raise bad_uri(text, "it is the service's own state")
        if uri.names_object:
            raise bad_uri(text, f"a bucket or a folder is granted, not a single object; for a folder write {text}/")
        return cls(uri.scheme, uri.bucket, uri.key, can_read, can_write)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.prefix}"

    @property
    def verbs(self) -> str:
        """What may be done, for people: ``read``, ``write`` or ``read,write``."""
        return ",".join(name for name, may in (("read", self.can_read), ("write", self.can_write)) if may)

    def contains(self, uri: ObjectUri) -> bool:
        """Whether an object, or a folder (`ObjectUri.folder`), is the granted folder or in it."""
        return uri.bucket == self.bucket and uri.key.startswith(self.prefix) and uri.scheme == self.scheme

    def gives(self, permission: str) -> bool:
        """Whether it is about this permission, one of `PERMISSIONS`."""
        return self.can_write if permission == WRITE else self.can_read


@dataclasses.dataclass(frozen=True)
class Grants:
    """All that one caller may read and write.

    Attributes:
        holder: the caller's address, as refusals name it.
        given: the grants.
    """

    holder: str
    given: tuple[Grant, ...] = ()

    def allows(self, uri: ObjectUri, permission: str) -> bool:
        """Whether the caller has a permission, one of `PERMISSIONS`, on an object or folder."""
        return any(grant.gives(permission) and grant.contains(uri) for grant in self.given)

    @property
    def readable(self) -> list[ObjectUri]:
        """The buckets and folders that may be read, in order."""
        return sorted({ObjectUri(one.scheme, one.bucket, one.prefix) for one in self.given if one.can_read}, key=str)

    def lost_reading(self, later: Grants) -> ObjectUri | None:
        """A folder that may be read by these grants and not by later ones, wholly; None if there is none."""
        folders = (ObjectUri(grant.scheme, grant.bucket, grant.prefix) for grant in self.given if grant.can_read)
        return next((folder for folder in folders if not later.allows(folder, READ)), None)

    def to_config(self) -> dict[str, Any]:
        """The grants as JSON data for another process; there is no secret in them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Grants:
        """Reads what `to_config` has made."""
        return cls(config["holder"], tuple(Grant(**values) for values in config["given"]))


@dataclasses.dataclass(frozen=True)
class Limits:
    """What stores are limited to while they work for a caller.

    Attributes:
        grants: the caller's.
        state: the folder of the service's own state: work may use it, and no caller may name it.
        output: the folder that the work makes: who may write there may have it read there; None for none.
        is_named: whether objects are meant that a caller names, and not those of the work itself.
    """

    grants: Grants
    state: ObjectUri
    output: ObjectUri | None = None
    is_named: bool = False

    def check(
        self, uri: ObjectUri, permission: str, resolved: Callable[[ObjectUri], ObjectUri] = lambda uri: uri
    ) -> None:
        """Lets work use an object or a folder, or not, before anybody looks whether it is there.

        Args:
            uri: the object or folder.
            permission: one of `PERMISSIONS`.
            resolved: follows symbolic links within a bucket; asked only about what is granted by its name.

        Raises:
            ApiError: PERMISSION_DENIED.
        """
        if _is_in(uri, self.state) or uri.scheme == STATE:
            if self.is_named:
                raise denied(self.grants.holder, permission, uri)
            return
        if not self.is_named and self.output is not None and _is_in(uri, self.output):
            permission = WRITE
        is_allowed = self.grants.allows(uri, permission)
        behind = resolved(uri) if is_allowed else uri
        if not is_allowed or (behind is not uri and not self.grants.allows(behind, permission)):
            raise denied(self.grants.holder, permission, uri)

    def named(self) -> Limits:
        """The same for objects that a caller names."""
        return dataclasses.replace(self, is_named=True)

    def to_config(self) -> dict[str, Any]:
        """The limits as JSON data for another process, without `state`, which the stores know."""
        return {"grants": self.grants.to_config(), "output": None if self.output is None else str(self.output)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], state: ObjectUri) -> Limits:
        """Reads what `to_config` has made."""
        output = None if config["output"] is None else ObjectUri.parse(config["output"])
        return cls(Grants.from_config(config["grants"]), state, output)


def denied(holder: str, permission: str, uri: ObjectUri) -> errors.ApiError:
    """PERMISSION_DENIED: a caller lacks a permission on an object or folder, whether that exists or not."""
    text = (
        f"{holder} does not have {permission} access to the Google Cloud Storage object. "
        f"Permission '{permission}' denied on resource (or it may not exist). {uri}"
    )
    info = error_details_pb2.ErrorInfo(
        reason="IAM_PERMISSION_DENIED", domain=DOMAIN, metadata={"resource": str(uri), "permission": permission}
    )
    return errors.ApiError(code_pb2.PERMISSION_DENIED, text, [info])


def _is_in(uri: ObjectUri, folder: ObjectUri) -> bool:
    """Whether an object or folder is a folder or in it."""
    same = (uri.scheme, uri.bucket) == (folder.scheme, folder.bucket)
    return same and uri.folder.key.startswith(folder.folder.key)

"""Objects over the network: Google Cloud Storage, S3 and its like, Azure; and an emulator of the first.

A request is made once; who calls tries again and heeds the bucket's pace (`patience`, `throttling`). Only calls of several
requests, a write in parts for instance, have each of these tried again by the client library.

Credentials come from each cloud's usual environment, which the client library reads itself, in this process and in its
children alike, or from a profile (`profiles`); they are in no setting and in no job.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import secrets
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import obstore
import requests
from obstore import exceptions
from obstore.store import AzureStore, GCSStore, S3Store

from boxwright import errors
from boxwright.objects import deletion, entries, listing, profile_connections, store_errors, throttling
from boxwright.objects.folders import ObjectVersion, StoreKey
from boxwright.objects.patience import FIRST_WAIT_S, LONGEST_WAIT_S
from boxwright.objects.profiles import CredentialProfile, CredentialProfiles
from boxwright.objects.throttling import Pace
from boxwright.objects.uris import ObjectUri

if TYPE_CHECKING:
    from obstore.store import ObjectStore

MAX_RETRIES = 1000  # of a request among several of one call: time bounds the retries, not their number
PART_BYTES = 5 << 20  # what is larger the client library writes in parts, unless it is written once only
ASK_TIMEOUT_S = 2.0
SIGNED_S = 60
SIGNS_HERE = ("s3", "az")  # a signature takes no call of another service
CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 3600.0  # a large object may take long as long as bytes come; silence is what ends a request
LONGEST_SILENCE_S = 30.0
BEGINS_BEHIND_A_KEY = ("gs", "s3")  # of Azure the client library lists everything and leaves out what is before


class Cloud:
    """The buckets of one cloud.

    Args:
        scheme: ``gs``, ``s3`` or ``az``.
        patience_s: how long one call waits for trouble to pass; half of it is the longest silence within a request.
        profile: whose credentials are used; None: those in the environment.
    """

    def __init__(self, scheme: str, patience_s: float, profile: CredentialProfile | None = None) -> None:
        self._scheme = scheme
        self._profile = profile
        self._patience_s = patience_s
        self._silence_s = min(LONGEST_SILENCE_S, max(0.5, patience_s / 2))
        self._open: dict[tuple[str, int], ObjectStore] = {}  # by bucket and number of retries

    def pace(self, uri: ObjectUri) -> Pace:
        """See `Backend.pace`."""
        account = "" if self._profile is None else self._profile.name
        return throttling.pace_of(f"{uri.scheme}://{uri.bucket}", self._address, account)

    def ask_when(self, uri: ObjectUri) -> float | None:
        """See `Backend.ask_when`: a request of our own, as the client library does not hand headers on."""
        if self._scheme not in SIGNS_HERE:
            return None
        try:
            place = self.place(uri)
            assert isinstance(place.store, S3Store | AzureStore)
            address = obstore.sign(place.store, "HEAD", place.key or "-", datetime.timedelta(seconds=SIGNED_S))
            response = requests.head(address, timeout=ASK_TIMEOUT_S, allow_redirects=False)
        except (exceptions.BaseError, errors.ApiError, requests.RequestException, OSError, ValueError):
            return None  # it is only a question
        return _retry_after_s(response) if response.status_code in store_errors.THROTTLED_STATUSES else None

    @property
    def _address(self) -> str:
        """Where the store is; an empty text for the cloud's usual address."""
        return profile_connections.endpoint(self._scheme, self._variables)

    @property
    def _variables(self) -> Mapping[str, str]:
        return os.environ if self._profile is None else self._profile.variables

    def reading(self, uri: ObjectUri) -> StoreKey:
        """Finds an object, without asking whether it is there."""
        if not uri.names_object:
            raise store_errors.not_found(uri)
        return self.place(uri)

    def read(self, uri: ObjectUri, max_bytes: int | None) -> tuple[bytes, str]:
        """Reads a whole object, and its version."""
        place = self.reading(uri)
        result = obstore.get(place.store, place.key)
        size_bytes = result.meta["size"]
        store_errors.check_size(uri, size_bytes, max_bytes)
        return store_errors.check_whole(bytes(result.bytes()), size_bytes), _version(result.meta)

    def version(self, uri: ObjectUri) -> ObjectVersion:
        """See `Backend.version`."""
        place = self.reading(uri)
        meta = obstore.head(place.store, place.key)
        return ObjectVersion(meta["size"], _version(meta))

    def versions(self, prefix: ObjectUri, after: str) -> Iterator[list[tuple[str, ObjectVersion]]]:
        """See `Backend.versions`."""
        place = self.place(prefix)
        found = obstore.list(
            place.store, prefix=place.key.rstrip("/"), offset=after or None, chunk_size=listing.PAGE_NAMES
        )
        for batch in found:
            yield [(entry["path"], ObjectVersion(entry["size"], _version(entry))) for entry in batch]

    def entries(self, prefix: ObjectUri, after: str) -> Iterator[entries.Entry]:
        """See `Backend.entries`."""
        place = self.place(prefix)
        below = f"{place.key.rstrip('/')}/" if place.key else ""

        def listed(start: str) -> Iterator[Any]:
            return obstore.list(
                place.store, prefix=below.rstrip("/") or None, offset=start or None, chunk_size=listing.PAGE_NAMES
            )

        return entries.of_keys(listed, below, after)

    def place(self, uri: ObjectUri) -> StoreKey:
        """Finds where an object is or would be."""
        return self._place(uri, 0)

    def long_place(self, uri: ObjectUri) -> StoreKey:
        """See `Backend.long_place`."""
        return self._place(uri, MAX_RETRIES)

    def _place(self, uri: ObjectUri, retries: int) -> StoreKey:
        if (uri.bucket, retries) not in self._open:
            try:
                self._open[uri.bucket, retries] = self._connect(uri.bucket, retries)
            except (exceptions.BaseError, ValueError, OSError) as error:
                raise errors.failed_precondition(
                    f"{uri} cannot be opened: {store_errors.reason(error)}; "
                    "docs/storage.md says what the environment must hold."
                ) from error
        return StoreKey(self._open[uri.bucket, retries], uri.key)

    def put(self, uri: ObjectUri, data: bytes, *, once: bool) -> bool:
        """Writes an object; returns False if it is there already and was to be written once only."""
        if not once:
            place = self.place(uri) if len(data) <= PART_BYTES else self.long_place(uri)
            obstore.put(place.store, place.key, data, use_multipart=len(data) > PART_BYTES)
            return True
        place = self.place(uri)
        try:
            obstore.put(place.store, place.key, data, mode="create")
        except exceptions.AlreadyExistsError as error:
            if self._scheme == "s3" and "status code: 409" in str(error):  # who else writes it may yet fail
                raise store_errors.StatusError(409, store_errors.reason(error)) from error
            return False
        return True

    def resolved(self, uri: ObjectUri) -> ObjectUri:
        """The URI itself: there are no links in a cloud."""
        return uri

    def check_bucket(self, uri: ObjectUri) -> None:
        """Raises unless the bucket exists and may be listed."""
        store = self.place(uri).store
        try:
            next(iter(obstore.list(store, prefix=uri.key.rstrip("/"), chunk_size=1)), None)
        except (exceptions.GenericError, FileNotFoundError) as error:
            if isinstance(error, FileNotFoundError) or "status code: 404" in str(error):
                raise store_errors.no_bucket(uri, "") from error
            raise

    def check_destination(self, uri: ObjectUri) -> None:
        """Raises unless the bucket exists and no part of the URI's path is an object.

        The cloud would take both; what is meant by such a prefix is hardly ever that. An empty object may stand for a
        folder, as several tools and file systems have it.
        """
        self.check_bucket(uri)
        parts = uri.key.strip("/").split("/") if uri.key else []
        for depth in range(1, len(parts) + 1):
            place = self.place(dataclasses.replace(uri, key="/".join(parts[:depth])))
            with contextlib.suppress(exceptions.BaseError, FileNotFoundError):  # who may only write may not look
                if obstore.head(place.store, place.key)["size"] > 0:
                    raise store_errors.below_an_object(uri, dataclasses.replace(uri, key=place.key))

    def keys(self, prefix: ObjectUri, after: str, bounds: listing.Bounds | None = None) -> Iterator[list[str]]:
        """Yields the keys below a folder, from behind a key on, a page of the store's at a time.

        Pages in which `bounds` wants nothing are left out where a store can begin behind a key.
        """
        place = self.place(prefix)

        def listed(start: str) -> Iterator[list[str]]:
            found = obstore.list(
                place.store, prefix=place.key.rstrip("/"), offset=start or None, chunk_size=listing.PAGE_NAMES
            )
            yield from ([entry["path"] for entry in batch] for batch in found)

        if bounds is None or self._scheme not in BEGINS_BEHIND_A_KEY:
            yield from listed(after)
        else:
            yield from listing.sought(listed, place.key, after, bounds)

    def delete(self, uri: ObjectUri) -> None:
        """Deletes an object; none is fine."""
        place = self.place(uri)
        with contextlib.suppress(FileNotFoundError):
            obstore.delete(place.store, place.key)

    def delete_below(self, folder: ObjectUri) -> None:
        """See `Backend.delete_below`."""
        place = self.long_place(folder)
        found = obstore.list(place.store, prefix=place.key.rstrip("/"), chunk_size=listing.PAGE_NAMES)
        pages = ([entry["path"] for entry in batch] for batch in found)
        deletion.delete_pages(pages, lambda keys: self._delete_keys(folder, keys))

    def _delete_keys(self, folder: ObjectUri, keys: list[str]) -> None:
        """Deletes objects, on S3 a thousand in one call; those that are gone are fine."""
        try:
            obstore.delete(self.long_place(folder).store, keys)
        except FileNotFoundError:  # somebody else deletes them too
            for key in keys:
                self.delete(dataclasses.replace(folder, key=key))

    def sweep_unfinished(self, directory: ObjectUri) -> None:
        """Nothing to do: an upload that was cut off leaves no object."""

    def _connect(self, bucket: str, retries: int) -> ObjectStore:
        options: dict[str, Any] = {
            "client_options": self._client_options(),
            "retry_config": self._retry_config(retries),
        }
        if self._profile is not None:
            options |= profile_connections.options(self._scheme, self._profile.variables)
        match self._scheme:
            case "s3":
                return S3Store(bucket, **options)
            case "az":
                return AzureStore(bucket, **options)
            case _:
                return GCSStore(bucket, **options)

    def _client_options(self) -> dict[str, Any]:
        return {
            "allow_http": self._address.startswith("http://"),
            "connect_timeout": datetime.timedelta(seconds=min(CONNECT_TIMEOUT_S, self._silence_s)),
            "read_timeout": datetime.timedelta(seconds=self._silence_s),
            "timeout": datetime.timedelta(seconds=REQUEST_TIMEOUT_S),
        }

    def _retry_config(self, retries: int) -> dict[str, Any]:
        return {
            "max_retries": retries,
            "retry_timeout": datetime.timedelta(seconds=self._patience_s),
            "backoff": {
                "init_backoff": datetime.timedelta(seconds=FIRST_WAIT_S),
                "max_backoff": datetime.timedelta(seconds=LONGEST_WAIT_S),
                "base": 2,
            },
        }


class TenantClouds:
    """Clouds with the credentials of profiles.

    Args:
        profiles: the profiles.
        patience_s: see `Cloud`.
    """

    def __init__(self, profiles: CredentialProfiles, patience_s: float) -> None:
        self.profiles = profiles
        self._patience_s = patience_s
        self._clouds: dict[tuple[str, str], tuple[CredentialProfile, Cloud]] = {}  # by scheme and name of the profile

    def find(self, uri: ObjectUri, project: str) -> Cloud | None:
        """The cloud of an object or folder in the work of a project; None if no profile is for it."""
        profile = self.profiles.find(uri, project)
        if profile is None:
            return None
        known = self._clouds.get((uri.scheme, profile.name))
        if known is None or known[0] != profile:  # the file has changed
            known = profile, Cloud(uri.scheme, self._patience_s, profile)
            self._clouds[uri.scheme, profile.name] = known
        return known[1]


class GcsEmulator(Cloud):
    """An emulator of Google Cloud Storage: read as the cloud is, written through the JSON interface.

    The common emulator does not take the writes of the interface that the client library speaks.
    """

    def __init__(self, address: str, patience_s: float) -> None:
        super().__init__("gs", patience_s)
        self.address = (address if "://" in address else f"http://{address}").rstrip("/")

    def put(self, uri: ObjectUri, data: bytes, *, once: bool) -> bool:
        """See `Cloud.put`. One request of two parts; of those in one part the emulator does not heed the condition."""
        self.place(uri)
        boundary = secrets.token_hex(16)
        about = json.dumps({"name": uri.key, "contentType": "application/octet-stream"})
        head = (
            f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{about}\r\n"
            f"--{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n"
        )
        response = requests.post(
            f"{self.address}/upload/storage/v1/b/{_quoted(uri.bucket)}/o",
            params={"uploadType": "multipart", **({"ifGenerationMatch": "0"} if once else {})},
            data=b"".join((head.encode(), data, f"\r\n--{boundary}--\r\n".encode())),
            headers={"Content-Type": f"multipart/related; boundary={boundary}"},
            timeout=self._timeouts_s,
        )
        if once and response.status_code == 412:
            return False
        _raise_for_status(response)
        return True

    def _place(self, uri: ObjectUri, retries: int) -> StoreKey:
        """See `Cloud.place`. Its lists fail oddly if there is no such bucket, so that is asked first."""
        if (uri.bucket, retries) not in self._open:
            self._ask_for_bucket(uri)
        return super()._place(uri, retries)

    @property
    def _address(self) -> str:
        return self.address

    def _delete_keys(self, folder: ObjectUri, keys: list[str]) -> None:
        for key in keys:
            self.delete(dataclasses.replace(folder, key=key))

    def delete(self, uri: ObjectUri) -> None:
        """See `Cloud.delete`."""
        address = f"{self.address}/storage/v1/b/{_quoted(uri.bucket)}/o/{_quoted(uri.key)}"
        response = requests.delete(address, timeout=self._timeouts_s)
        if response.status_code != 404:
            _raise_for_status(response)

    def _ask_for_bucket(self, uri: ObjectUri) -> None:
        response = requests.get(f"{self.address}/storage/v1/b/{_quoted(uri.bucket)}", timeout=self._timeouts_s)
        if response.status_code == 404:
            raise store_errors.no_bucket(uri, "")
        _raise_for_status(response)

    @property
    def _timeouts_s(self) -> tuple[float, float]:
        return min(CONNECT_TIMEOUT_S, self._silence_s), self._silence_s

    def _connect(self, bucket: str, retries: int) -> ObjectStore:
        options = self._client_options()
        return GCSStore(
            bucket,
            base_url=self.address,
            bearer_token="emulator",
            client_options=options,  # type: ignore[arg-type]
            retry_config=self._retry_config(retries),  # type: ignore[arg-type]
        )


def _version(meta: Any) -> str:
    """The entity tag without what only some answers of a store have around it."""
    return (meta["e_tag"] or "").removeprefix("W/").strip('"')


def _quoted(bucket: str) -> str:
    return urllib.parse.quote(bucket, safe="")


def _raise_for_status(response: requests.Response) -> None:
    if response.status_code >= 300:
        raise store_errors.StatusError(response.status_code, response.reason, _retry_after_s(response))


def _retry_after_s(response: requests.Response) -> float | None:
    return store_errors.retry_after_s(response.headers.get("Retry-After"), datetime.datetime.now(datetime.UTC))

"""Object storage: one small interface over folders and clouds, and the walls around it.

`Stores` maps URIs to objects: ``gs://``, ``s3://``, ``az://`` and ``file://`` as the installation serves them, and
``state://`` for the service's own state, which no caller can name. Reading, writing once, writing and listing; never
renaming, never locking. Every error is an `ApiError` whose message names the URI.

    addresses  addresses as people write them: what is meant by a text that is no object URI
    uris       ObjectUri, and the one rule on which URIs a caller may name
    store_errors  errors of stores turned into ours: which pass, which say that calls are too many
    patience    the same call again while its trouble may pass; calls that can be left behind
    throttling  how often a bucket is called, once its store says that this is too often
    streams     an object in chunks, read on from where it broke off
    store_calls  how the parts of Stores reach a store
    bucket_looks  looks at buckets before something is done
    own_state   the service's own state, in a folder or in a bucket
    folders    gs:// as folders, file:// below allowed roots, state://; the walls
    clouds     gs://, s3:// and az:// over the network; the writer for an emulator of gs://
    profiles    a tenant's own credentials, for that tenant's folders
    profile_connections  connections with these, and with nothing of the environment
    store_config  what an installation serves, and the environment of its stores
    entries     what lies directly in a folder
    listing     names in order, however many
    deletion    all that is below a folder, deleted page by page
    backend     what every way to keep objects can do
    limited_use  what work may use of the stores, and that it says so
    bucket_uses  which buckets work uses, each told once
    stores      Stores, which chooses among them
    recorded_stores  the same, which tell metrics and spans
    grants     which objects a caller may read and write, and stores that are limited to them
    imported    images read again, which must be as they were imported
    missing    objects that are not there: whether a folder or another spelling is
    breaker    a store that is down is waited for once, not once for every object
"""

from boxwright.objects.backend import ObjectInfo
from boxwright.objects.breaker import Breaker, StoreLost
from boxwright.objects.bucket_uses import BucketUse, BucketUses
from boxwright.objects.folders import ObjectVersion
from boxwright.objects.grants import Grant, Grants
from boxwright.objects.imported import ImportedImages
from boxwright.objects.missing import explained
from boxwright.objects.patience import WaitEndedError
from boxwright.objects.profiles import CredentialProfile
from boxwright.objects.store_config import StoreConfig
from boxwright.objects.store_errors import ObjectChangedError, ObjectNotFound
from boxwright.objects.stores import Stores
from boxwright.objects.streams import STREAM_CHUNK_BYTES
from boxwright.objects.uris import (
    CLOUDS,
    DEFAULT_SCHEMES,
    MAX_URI_CHARS,
    STATE,
    BadUri,
    ObjectUri,
    bad_uri,
    caller_uri,
)

__all__ = [
    "CLOUDS",
    "DEFAULT_SCHEMES",
    "MAX_URI_CHARS",
    "STATE",
    "STREAM_CHUNK_BYTES",
    "BadUri",
    "Breaker",
    "BucketUse",
    "BucketUses",
    "CredentialProfile",
    "Grant",
    "Grants",
    "ImportedImages",
    "ObjectChangedError",
    "ObjectInfo",
    "ObjectNotFound",
    "ObjectUri",
    "ObjectVersion",
    "StoreConfig",
    "StoreLost",
    "Stores",
    "WaitEndedError",
    "bad_uri",
    "caller_uri",
    "explained",
]

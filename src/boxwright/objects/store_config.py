"""`StoreConfig`: what an installation serves, and which environment variables its stores read."""

from __future__ import annotations

import dataclasses

from boxwright.objects.uris import CLOUDS, DEFAULT_SCHEMES, FILE

# What the client library and the credential chains of the clouds read; a name that ends in _ is a prefix.
_VARIABLES = {
    "gs": ("GOOGLE_", "CLOUDSDK_", "GCE_METADATA_", "GCLOUD_", "STORAGE_EMULATOR_HOST"),
    "s3": ("AWS_",),
    "az": ("AZURE_", "AZURITE_", "MSI_ENDPOINT", "MSI_SECRET", "IDENTITY_ENDPOINT", "IDENTITY_HEADER"),
}
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_NETWORK_VARIABLES = (
    *(*_PROXIES, *(name.lower() for name in _PROXIES)),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTPLIB2_CA_CERTS"),
)


@dataclasses.dataclass(frozen=True)
class StoreConfig:
    """What an installation serves; see the settings of the same meaning. Holds no secrets.

    Attributes:
        gs: ``folder`` if gs:// is the buckets folder, ``cloud`` if it is Google Cloud Storage.
        schemes: schemes of object stores that callers may name, of gs, s3, az.
        file_roots: folders below which file:// paths may be; none: file:// is not served.
        gs_emulator: address of an emulator that gs:// is; None for none.
        retry_s: how long one call waits for trouble to pass.
        state_uri: where the service's own state is, rather than in a folder of this machine; empty: there.
        credentials_dir: folder of credential profiles; empty: there are none.
    """

    gs: str = "folder"
    schemes: tuple[str, ...] = DEFAULT_SCHEMES
    file_roots: tuple[str, ...] = ()
    gs_emulator: str | None = None
    retry_s: float = 20.0
    state_uri: str = ""
    credentials_dir: str = ""

    @property
    def clouds(self) -> tuple[str, ...]:
        """The schemes that callers reach over the network, emulators aside."""
        is_cloud = self.gs == "cloud" and not self.gs_emulator
        return tuple(scheme for scheme in self.schemes if scheme != "gs" or is_cloud)

    @property
    def variables(self) -> tuple[str, ...]:
        """Names, and prefixes that end in ``_``, of the environment variables that these stores read."""
        schemes = {*self.schemes, self.state_uri.partition("://")[0]}
        if self.gs == "folder" and not self.gs_emulator:
            schemes.discard("gs")
        found = [name for scheme in CLOUDS if scheme in schemes for name in _VARIABLES[scheme]]
        return (*found, *_NETWORK_VARIABLES) if found else ()

    @property
    def served(self) -> tuple[str, ...]:
        """Every scheme that callers may name."""
        return (*self.schemes, FILE) if self.file_roots else self.schemes

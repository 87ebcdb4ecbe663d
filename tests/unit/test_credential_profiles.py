"""Credential profiles: which one is for an object, which files are refused and what is said of them, files that change."""

from __future__ import annotations

import contextlib
import json
import logging
import pathlib
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.support.machine import http_site

from boxwright import errors, objects
from boxwright.objects.profiles import LOOK_INTERVAL_S, CredentialProfiles
from boxwright.settings import StorageSettings

SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCY"
KEYS = f"AWS_ACCESS_KEY_ID=AKIA\nAWS_SECRET_ACCESS_KEY={SECRET}\n"
STATE = objects.ObjectUri.parse("s3://state/boxwright/")


class Clock:
    """Seconds that the test decides on."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def write(folder: pathlib.Path, name: str, text: str, mode: int = 0o600) -> None:
    """Puts a file in place whole."""
    draft = folder / f"{name}.part"
    draft.touch(mode)
    draft.chmod(mode)
    draft.write_text(text)
    draft.replace(folder / f"{name}.env")


def opened(folder: pathlib.Path, clock: Clock | None = None) -> CredentialProfiles:
    return CredentialProfiles(str(folder), ("s3", "az"), STATE, clock or Clock())


def found(profiles: CredentialProfiles, uri: str, project: str = "p") -> str:
    """The name of the profile for an object, empty for none."""
    profile = profiles.find(objects.ObjectUri.parse(uri), project)
    return profile.name if profile else ""


def test_the_longest_folder_counts_and_then_the_profile_that_names_the_project(tmp_path: pathlib.Path) -> None:
    write(tmp_path, "all", f"FOLDERS=s3://photos/\n{KEYS}")
    write(tmp_path, "inner", f"export FOLDERS = 's3://photos/in/, s3://more/'\n# a comment\n\n{KEYS}")
    write(tmp_path, "mine", f"FOLDERS=s3://photos/in/\nPROJECTS=mine,ours\n{KEYS}")
    profiles = opened(tmp_path)
    assert found(profiles, "s3://photos/x.jpg") == "all"
    assert found(profiles, "s3://photos/in/x.jpg") == "inner"
    assert found(profiles, "s3://more/x.jpg") == "inner"
    assert found(profiles, "s3://photos/in2/x.jpg") == "all", "a near name is another folder"
    assert {project: found(profiles, "s3://photos/in/x.jpg", project) for project in ("mine", "ours", "min", "")} == {
        "mine": "mine", "ours": "mine", "min": "inner", "": "inner",
    }  # fmt: skip
    for other in ("s3://photos2/x.jpg", "gs://photos/in/x.jpg", "az://photos/in/x.jpg"):
        assert found(profiles, other) == "", other


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (KEYS, "FOLDERS names no folder"),
        (f"FOLDERS=s3://a/in\n{KEYS}", "write s3://a/in/"),
        (f"FOLDERS=file:///aaa/\n{KEYS}", "is in no cloud that this installation serves"),
        (f"FOLDERS=s3://state/\n{KEYS}", "state"),
        (f"FOLDERS=s3://state/boxwright/models/\n{KEYS}", "state"),
        ("FOLDERS=s3://aaa/\nAWS_ACCESS_KEY_ID=AKIA\n", "needs AWS_SECRET_ACCESS_KEY"),
        (f"FOLDERS=az://aaa/\n{KEYS}", "needs AZURE_STORAGE_ACCOUNT_"),
        (f"FOLDERS=s3://aaa/\n{KEYS}{SECRET}\n", "line 4 does not begin with a name"),
        (f"FOLDERS=s3://aaa/\n{KEYS}AWS_PROFILE={SECRET}\n", "line 4 does not begin with a name"),
        (f"FOLDERS=s3://aaa/\n{KEYS}{KEYS}", "AWS_ACCESS_KEY_ID twice"),
        (f"FOLDERS=s3://taken/\n{KEYS}", "is in atenant.env too, for the same projects"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_named_and_nothing_of_it_is_told(
    tmp_path: pathlib.Path, text: str, why: str
) -> None:
    write(tmp_path, "atenant", f"FOLDERS=s3://taken/\n{KEYS}")
    write(tmp_path, "tenant", text)
    with pytest.raises(errors.ApiError) as raised:
        opened(tmp_path)
    assert why in raised.value.message and "tenant.env" in raised.value.message
    assert SECRET not in raised.value.message and str(tmp_path) not in raised.value.message


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_could_read_is_refused(tmp_path: pathlib.Path, mode: int) -> None:
    write(tmp_path, "tenant", f"FOLDERS=s3://aaa/\n{KEYS}", mode)
    with pytest.raises(errors.ApiError, match="chmod 600"):
        opened(tmp_path)


def test_a_changed_file_counts_soon_and_one_that_is_broken_does_not(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    write(tmp_path, "tenant", f"FOLDERS=s3://aaa/\n{KEYS}")
    write(tmp_path, "leaving", f"FOLDERS=s3://ccc/\n{KEYS}")
    profiles = opened(tmp_path, clock)
    write(tmp_path, "tenant", f"FOLDERS=s3://bbb/\n{KEYS}")
    assert found(profiles, "s3://aaa/x.jpg") == "tenant", "files are not looked at for every object"
    clock.now_s += LOOK_INTERVAL_S
    assert (found(profiles, "s3://aaa/x.jpg"), found(profiles, "s3://bbb/x.jpg")) == ("", "tenant")
    write(tmp_path, "tenant", SECRET)
    (tmp_path / "leaving.env").unlink()
    clock.now_s += LOOK_INTERVAL_S
    with caplog.at_level(logging.ERROR):
        assert found(profiles, "s3://bbb/x.jpg") == "tenant"
    assert "event=credential_profiles_unusable" in caplog.text and SECRET not in caplog.text
    assert found(profiles, "s3://ccc/x.jpg") == "", "what is gone does not count any more"
    assert SECRET not in repr(profiles.all)


def test_the_setting_is_a_folder_and_children_find_it_wherever_they_run(tmp_path: pathlib.Path) -> None:
    choices = StorageSettings(credentials_dir=pathlib.Path("secrets")).choices
    assert pathlib.Path(choices.credentials_dir).is_absolute()
    with pytest.raises(errors.ApiError, match="credentials_dir is not there"):
        objects.Stores(tmp_path, tmp_path / "state", objects.StoreConfig(credentials_dir=str(tmp_path / "none")))


class _Google(http_site.QuietHandler):
    """Gives a token, and answers requests that bring it."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._give(json.dumps({"access_token": "of the tenant", "expires_in": 3600, "token_type": "Bearer"}).encode())

    def do_GET(self) -> None:
        is_ours = self.headers["Authorization"] == "Bearer of the tenant"
        self._give(b"an image" if is_ours else b"", 200 if is_ours else 403)

    def _give(self, content: bytes, status: int = 200) -> None:
        headers = {
            "Content-Type": "application/json",
            "ETag": '"1"',
            "Last-Modified": "Fri, 27 Nov 2026 00:00:00 GMT",
        }
        self.answer(status, headers, content)


@contextlib.contextmanager
def _google() -> Iterator[str]:
    with http_site.serving(_Google) as server:
        yield f"http://127.0.0.1:{server.server_port}"


def test_google_cloud_storage_is_asked_as_the_account_of_the_profile(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with _google() as address:
        key = {
            "type": "service_account",
            "client_email": "tenant@example.com",
            "private_key": private.decode(),
            "token_uri": f"{address}/token",
        }
        write(
            tmp_path,
            "tenant",
            f"FOLDERS=gs://photos/\nGOOGLE_BASE_URL={address}\nGOOGLE_SERVICE_ACCOUNT_KEY={json.dumps(key)}\n",
        )
        choices = objects.StoreConfig(gs="cloud", credentials_dir=str(tmp_path), retry_s=1.0)
        stores = objects.Stores(tmp_path, tmp_path / "state", choices)
        assert stores.get(objects.ObjectUri.parse("gs://photos/x.jpg")) == b"an image"


def test_a_key_of_google_that_is_none_is_not_told(tmp_path: pathlib.Path) -> None:
    write(tmp_path, "tenant", f'FOLDERS=gs://photos/\nGOOGLE_SERVICE_ACCOUNT_KEY={{"private_key": "{SECRET}"}}\n')
    choices = objects.StoreConfig(gs="cloud", credentials_dir=str(tmp_path), retry_s=1.0)
    stores = objects.Stores(tmp_path, tmp_path / "state", choices)
    with pytest.raises(errors.ApiError, match="no key file of a service account") as raised:
        stores.get(objects.ObjectUri.parse("gs://photos/x.jpg"))
    assert SECRET not in raised.value.message

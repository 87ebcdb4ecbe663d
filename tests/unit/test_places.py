"""The service's own files cannot lie where callers read and write."""

from __future__ import annotations

import pathlib

import pytest

from boxwright import errors, places, settings


@pytest.mark.parametrize("name", ["tls_key", "tls_client_ca"])
def test_files_of_tls_that_callers_can_name_are_refused(name: str, tmp_path: pathlib.Path):
    chosen = {key: tmp_path / "own" / f"{key}.pem" for key in ("tls_cert", "tls_key", "tls_client_ca")}

    def check() -> None:
        environment = {f"BOXWRIGHT_{key.upper()}": str(path) for key, path in chosen.items()}
        environment |= {
            "BOXWRIGHT_DATA_DIR": str(tmp_path / "data"),
            "BOXWRIGHT_BUCKETS_DIR": str(tmp_path / "buckets"),
        }
        places.check_overlaps(settings.read(environment))

    check()
    chosen[name] = tmp_path / "buckets" / "b" / "x.pem"
    with pytest.raises(errors.ApiError, match=f"^{name} is .*, inside "):
        check()

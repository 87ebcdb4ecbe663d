"""The service's own files: private, out of every caller's reach, and nothing of them in a message or a child."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys

import psutil
import pytest
from google.api_core import exceptions
from google.longrunning import operations_pb2
from tests.support.clients.api import metadata, open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import TinyModel

OTHERS = 0o077
SECRET = "API_TOKEN=abcdef123456"
DATABASE_SECRET = "database-url-of-another-installation"


def _serve(folder: pathlib.Path, *flags: object, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BOXWRIGHT_")}
    command = [sys.executable, "-m", "boxwright.cli", "serve", "--port", "0", "--grpc-port", "0", *map(str, flags)]
    return subprocess.run(
        command, cwd=folder, env=inherited | environment, capture_output=True, text=True, timeout=120, check=False
    )


def _predict(service, model: str, csv_uri: str, output_uri: str) -> operations_pb2.Operation:
    with open_api(service) as api:
        return api.finished(api.start_batch(model, csv_uri, output_uri))


def _modes(root: pathlib.Path) -> dict[str, int]:
    """Of every file and folder; what a running service removes meanwhile is passed over."""
    modes = {}
    for folder, folders, files in os.walk(root):
        for path in (pathlib.Path(folder, name) for name in ("", *folders, *files)):
            with contextlib.suppress(FileNotFoundError):
                modes[str(path.relative_to(root))] = path.lstat().st_mode & 0o777
    return modes


def test_the_data_directory_is_private_and_buckets_keep_the_umask(service_factory, tiny_model: TinyModel, tmp_path):
    data_dir = tmp_path / "data"
    model = tiny_model.install(data_dir)
    data_dir.chmod(0o755)  # as an earlier version has left it
    service = service_factory(data_dir=data_dir)
    bucket = service.bucket("photos")
    names = drawn_images.write_images(bucket, 4)
    (bucket / "list.csv").write_text("".join(f"gs://photos/{name}\n" for name in names))
    _predict(service, model, "gs://photos/list.csv", "gs://photos/out/")
    open_to_others = {name: oct(mode) for name, mode in _modes(data_dir).items() if mode & OTHERS}
    assert not open_to_others
    results = next((bucket / "out").rglob("image_object_detection_1.jsonl"))
    mask = os.umask(0)
    os.umask(mask)
    assert results.stat().st_mode & 0o777 == 0o666 & ~mask


def test_closing_a_data_directory_touches_nothing_that_is_not_the_services(service_factory, tmp_path):
    data_dir = tmp_path / "data"
    photos = data_dir / "buckets" / "photos"
    photos.mkdir(parents=True)
    (photos / "list.csv").write_text("gs://photos/a.jpg\n")
    (data_dir / "notes.txt").write_text("mine")
    (data_dir / "models").mkdir(mode=0o755)
    (data_dir / "models" / "left.json").write_text("{}")
    data_dir.chmod(0o755)
    before = _modes(data_dir)
    service_factory(data_dir=data_dir, buckets=data_dir / "buckets")
    after = _modes(data_dir)
    for name in ("buckets", "buckets/photos", "buckets/photos/list.csv", "notes.txt"):
        assert after[name] == before[name]
    assert (after["."], after["models"], after["models/left.json"]) == (0o700, 0o700, 0o600)


@pytest.mark.parametrize(
    ("flags", "environment", "named"),
    [
        (["--data-dir", "over/data", "--buckets", "over"], {}, "data_dir"),
        (["--data-dir", "data", "--buckets", "data"], {}, "data_dir"),
        (["--data-dir", "data", "--buckets", "data/models"], {}, "data_dir"),
        (["--data-dir", "link/data", "--buckets", "over"], {}, "data_dir"),
        (["--data-dir", "over/../over/data", "--buckets", "over"], {}, "data_dir"),
        (["--data-dir", "data"], {"BOXWRIGHT_FILE_ROOTS": "/"}, "file_roots"),
        (["--data-dir", "data", "--tls-cert", "over/server.pem", "--tls-key", "over/server-key.pem", "--buckets", "over"],
         {}, "tls_key"),
        (["--data-dir", "data", "--buckets", "over"], {"BOXWRIGHT_DATABASE_URL": "sqlite:///over/x.sqlite"}, "database"),
    ],
)  # fmt: skip
def test_a_folder_of_the_service_that_callers_can_name_is_refused(tmp_path, flags, environment, named):
    (tmp_path / "over").mkdir()
    (tmp_path / "data" / "models").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "over")
    subprocess.run(
        [sys.executable, "-m", "boxwright.cli", "client-env", "--out", str(tmp_path / "over")],
        check=True, capture_output=True,
    )  # fmt: skip
    before = _modes(tmp_path)
    done = _serve(tmp_path, *flags, **environment)
    assert done.returncode == 2
    assert named in done.stderr and "Traceback" not in done.stderr
    assert _modes(tmp_path) == before, "nothing is created by a start that fails"


def test_a_start_that_fails_creates_nothing(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for flag in ("--port", "--grpc-port"):
            done = _serve(tmp_path, flag, taken.getsockname()[1])
            assert done.returncode == 2 and "something else listens there" in done.stderr
    done = _serve(tmp_path, "--buckets", "bukets")
    assert done.returncode == 2 and "mkdir -p bukets" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_variable_is_named_with_the_nearest_setting(tmp_path):
    done = _serve(tmp_path, BOXWRIGHT_BUCKETS_DIRR="x")
    assert done.returncode == 2
    assert "BOXWRIGHT_BUCKETS_DIRR" in done.stderr and "Did you mean BOXWRIGHT_BUCKETS_DIR?" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_text_of_another_file_never_comes_back(service_factory, tiny_model: TinyModel, tmp_path):
    model = tiny_model.install(tmp_path / "data")
    service = service_factory(data_dir=tmp_path / "data")
    bucket = service.bucket("planted")
    (name,) = drawn_images.write_images(bucket, 1)
    (bucket / "secret.env").write_text(
        f"{SECRET}\nhunter2\nPASSWORD,{SECRET}\n{SECRET};x\n-----BEGIN KEY-----\nqL/w==\n"
    )
    (bucket / "mixed.csv").write_text(f"gs://planted/{name}\n{SECRET}\n")
    with open_api(service) as api:
        imported = api.finished(api.start_import(api.create_dataset(), "gs://planted/secret.env"))
    answers = [imported, *(_predict(service, model, f"gs://planted/{name}", f"gs://planted/{folder}/")
                           for name, folder in (("secret.env", "a"), ("mixed.csv", "b")))]  # fmt: skip
    assert [bool(answer.error.message) for answer in answers] == [True, True, False]
    texts = [f"{answer} {metadata(answer)}" for answer in answers]
    texts += [
        path.read_text(errors="replace")
        for folder in ("a", "b")
        for path in (bucket / folder).rglob("*")
        if path.is_file()
    ]
    for text in texts:
        for part in ("abcdef123456", "hunter2", "BEGIN KEY", "qL/w"):
            assert part not in text
    errors = next((bucket / "b").rglob("errors_1.jsonl")).read_text()
    assert json.loads(errors)["ID"] == "gs://planted/mixed.csv, line 2"


def test_children_inherit_no_secret_of_the_service(service_factory, tiny_model: TinyModel, tmp_path):
    model = tiny_model.install(tmp_path / "data")
    planted = {
        "BOXWRIGHT_TOKEN": DATABASE_SECRET,
        "SOME_PASSWORD": DATABASE_SECRET,
        "AWS_SECRET_ACCESS_KEY": DATABASE_SECRET,  # s3:// is not served here
    }
    service = service_factory(data_dir=tmp_path / "data", environment=planted)
    bucket = service.bucket("photos")
    names = drawn_images.write_images(bucket, 2)
    (bucket / "list.csv").write_text("".join(f"gs://photos/{name}\n" for name in names))
    _predict(service, model, "gs://photos/list.csv", "gs://photos/out/")
    children = wait_until(lambda: psutil.Process(service.process.pid).children(recursive=True), "an inference child")
    for child in children:
        environment = pathlib.Path(f"/proc/{child.pid}/environ").read_bytes().decode()
        assert DATABASE_SECRET not in environment
        assert "PATH=" in environment


def test_without_the_extra_a_training_is_refused_at_the_call(service_factory, tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, package=None: None if name == 'torch' else find(name, package)\n"
    )
    path = os.pathsep.join([str(hidden), *filter(None, [os.environ.get("PYTHONPATH")])])
    service = service_factory(environment={"PYTHONPATH": path})
    with open_api(service) as api, pytest.raises(exceptions.FailedPrecondition, match="pip install 'boxwright"):
        api.start_training(api.create_dataset())
    doctor = subprocess.run(
        [sys.executable, "-m", "boxwright.cli", "doctor", "--json", "--data-dir", str(service.data_dir)],
        env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    facts = {fact["key"]: fact["text"] for fact in json.loads(doctor.stdout)["facts"]}
    assert "trainings are refused" in facts["training"]

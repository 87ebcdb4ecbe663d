"""The blocks of docs/getting-started.md, run as they stand there, one after another, in an empty folder.

The ports alone are other ones: the shell blocks learn them from the environment, the Python blocks by replacement.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests
from tests.support.clients.api import PARENT
from tests.support.documents import code_blocks
from tests.support.machine.ports import free_port
from tests.support.machine.waiting import PATIENCE_S, wait_until

from boxwright.demo import dataset, drawn
from boxwright.processes import NICENESS_VARIABLE

pytestmark = pytest.mark.full

PAGE = code_blocks.ROOT / "docs" / "getting-started.md"
TRANSLATED = code_blocks.ROOT / "docs" / "id" / "getting-started.md"
TRAIN_MINUTES = "0.2"  # what is learnt does not matter here
PREDICTED = 3


def test_a_translation_has_the_same_commands() -> None:
    codes = [[block.code for block in code_blocks.read(page, "sh")] for page in (PAGE, TRANSLATED)]
    assert codes[0] == codes[1]


@dataclasses.dataclass(frozen=True)
class Walk:
    """A folder as a reader of the page has it, with the service of the page running.

    Attributes:
        blocks: the shell blocks, without the one that has started the service.
    """

    folder: pathlib.Path
    port: int
    grpc_port: int
    environment: dict[str, str]
    blocks: list[code_blocks.Block]

    def run(self, block: code_blocks.Block) -> str:
        """Runs a shell block, each of whose commands must succeed, and returns what it printed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.code],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{block.label}:\n{done.stdout}{done.stderr}"
        return done.stdout


def _put_images(folder: pathlib.Path) -> None:
    """A small labelled set in the bucket, some images at its top, and one on this machine."""
    bucket = folder / "buckets" / "photos"
    made = drawn.draw_dataset(bucket, 5, drawn.Sizes(train=40, validation=8, test=PREDICTED))
    dataset.write_import_csv(made, dataset.box_rows)
    labels = bucket / dataset.IMPORT_CSV
    labels.write_text(labels.read_text(encoding="utf-8").replace("gs://demo/", "gs://photos/"), encoding="utf-8")
    images = sorted(bucket.rglob("*.jpg"))
    for number, image in enumerate(images[:PREDICTED]):
        shutil.copy(image, bucket / f"street-{number}.jpg")
    shutil.copy(images[0], folder / "street.jpg")


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    folder = tmp_path_factory.mktemp("walk")
    (folder / ".venv").symlink_to(sys.prefix)
    port, grpc_port = free_port(), free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BOXWRIGHT_")}
    settings = {"PORT": str(port), "GRPC_PORT": str(grpc_port), "TRAIN_MINUTES_MAX": TRAIN_MINUTES, "TUNE": "false"}
    serving = clean | {f"BOXWRIGHT_{name}": value for name, value in settings.items()}
    serving[NICENESS_VARIABLE] = os.environ[NICENESS_VARIABLE]
    start, *blocks = code_blocks.read(PAGE, "sh")
    assert "boxwright serve" in start.code
    with (folder / "service.log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-euc", start.code], cwd=folder, env=serving, stdout=log, stderr=log, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _is_ready(url, process), "the service of the page is ready")
        _put_images(folder)
        yield Walk(folder, port, grpc_port, clean | {"BOXWRIGHT_URL": url}, blocks)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE_S)


def _is_ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "the service of the page has ended"
    try:
        return requests.get(url + "/readyz", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


def test_the_commands_of_the_page_train_and_predict(walk: Walk) -> None:
    train, predict = walk.blocks
    walk.run(train)
    (results,) = (walk.folder / "buckets/photos/results").iterdir()
    assert (results / "manifest.json").exists()
    (page,) = walk.folder.rglob("results.html")
    assert page.read_text(encoding="utf-8").count("<figure>") == PREDICTED
    walk.run(dataclasses.replace(predict, code=f"{train.code.splitlines()[0]}\n{predict.code}"))  # in the same shell
    assert list((walk.folder / "drawn").iterdir())


@pytest.mark.parametrize("block", code_blocks.read(PAGE, "python"), ids=lambda block: block.label)
def test_the_python_blocks_of_the_page_reach_the_service(walk: Walk, block: code_blocks.Block) -> None:
    code = block.code.replace("127.0.0.1:8470", f"127.0.0.1:{walk.port}")
    code = code.replace("127.0.0.1:8471", f"127.0.0.1:{walk.grpc_port}")
    assert code != block.code
    code += f"print(list(automl.list_models(parent={PARENT!r})))\n"
    done = subprocess.run(
        [sys.executable, "-c", code], env=walk.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[")

"""Results that are taken over have the bytes of a prediction of all, by any engine, whatever became of the images."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import random
import shutil
import threading

import pytest
from tests.support.images import drawn_images
from tests.support.predictions import engines
from tests.support.predictions.batch_jobs import Bench
from tests.support.predictions.tiny_model import TinyModel

from boxwright import errors, objects
from boxwright.batch.job import BatchJob
from boxwright.batch.output import manifest
from boxwright.inference.model_folder import ModelInfo
from boxwright.runners import batch_choices

IMAGES, SPOILT = 30, 20
MODEL = "projects/p/locations/us-central1/models/IOD1"
SETTINGS = batch_choices.OutputSettings(8, 0.5, 1.0, 60.0, False, None, True, 0.05)


@pytest.fixture(scope="module", params=["tiny_model", "tiny_classifier"])
def model(request: pytest.FixtureRequest) -> TinyModel:
    """A model of each kind."""
    found: TinyModel = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module", params=engines.NAMES)
def maker(request: pytest.FixtureRequest, model: TinyModel):
    with engines.opened(request.param, model) as maker:
        yield maker


class CountingStores(objects.Stores):
    """Stores that count the images that this process reads."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.root / "buckets", bench.root / "state")
        self._counting = threading.Lock()
        self.gets: list[str] = []

    def get_with_version(self, uri: objects.ObjectUri, *, max_bytes: int | None = None) -> tuple[bytes, str]:
        if uri.scheme == "gs" and uri.key.startswith("images"):
            with self._counting:
                self.gets.append(str(uri))
        return super().get_with_version(uri, max_bytes=max_bytes)


class Scene:
    """A bucket of images, and jobs on them."""

    def __init__(self, root: pathlib.Path, model: TinyModel) -> None:
        self.bench = Bench(root, model.kind)
        self.model = model
        self.folder = self.bench.bucket / "images"
        self.folder.mkdir()
        for number in range(IMAGES):
            content = drawn_images.draw(number, size_hw=(48, 64 + number), boxes=1 + number % 4).content
            (self.folder / f"{number:02d}.jpg").write_bytes(content if number != SPOILT else content[:200])
        one_colour = drawn_images.draw(1, size_hw=(8, 8), boxes=0, file_format="PNG").content
        (self.folder / "plain.png").write_bytes(one_colour)

    def job(self, name: str, **params) -> BatchJob:
        info = ModelInfo.read(self.model.folder)
        base = {key: params.pop(key) for key in ("base", "reuse_audit") if key in params}
        most = 100 if info.score_floor else None
        chosen = batch_choices.chosen(SETTINGS, {"score_threshold": 0.5, "max_boxes": most} | params, info)
        notes = self.bench.root / "notes" / name
        notes.mkdir(parents=True, exist_ok=True)
        values = {**chosen, **base, "model": MODEL}
        return self.bench.job(name, lists=["gs://b/images/"], threads=2, notes=notes, **values)

    def run(self, name: str, maker, **params) -> dict[str, bytes]:
        """The files of a job but its manifest."""
        stores = CountingStores(self.bench)
        engine, _ = engines.finish(self.bench, self.job(name, **params), maker, stores=stores)
        self.counts, self.gets = engine.counts, stores.gets
        output = self.bench.output(name)
        self.manifest = manifest.Manifest.from_json(output.pop("manifest.json"))
        assert manifest.examine(self.bench.stores, self.bench.directory(name)).problems == []
        return output

    def change(self, number: int) -> None:
        content = drawn_images.draw(100 + number, size_hw=(50, 70), boxes=3).content
        (self.folder / f"{number:02d}.jpg").write_bytes(content)


@pytest.fixture
def scene(tmp_path: pathlib.Path, model: TinyModel) -> Scene:
    return Scene(tmp_path, model)


def _same(scene: Scene) -> int:
    return IMAGES


def _changed(scene: Scene) -> int:
    scene.change(7)
    return IMAGES - 1


def _renamed(scene: Scene) -> int:
    for path in list(scene.folder.iterdir()):
        path.rename(path.with_name(f"z{path.name}"))
    return IMAGES


def _copied(scene: Scene) -> int:
    shutil.copytree(scene.folder, scene.folder / "more")
    return 2 * IMAGES


def _touched(scene: Scene) -> int:
    for path in scene.folder.iterdir():
        os.utime(path, ns=(1_600_000_000_000_000_001, 1_600_000_000_000_000_001))
    return IMAGES


def _mended(scene: Scene) -> int:
    scene.change(SPOILT)
    return IMAGES


def _fewer(scene: Scene) -> int:
    for number in range(0, IMAGES - 10, 3):
        (scene.folder / f"{number:02d}.jpg").unlink()
    return IMAGES - 7


@pytest.mark.parametrize("change", [_same, _changed, _renamed, _copied, _touched, _mended, _fewer])
def test_what_is_taken_over_has_the_bytes_of_a_prediction_of_all(scene, maker, change):
    formats = ["csv", "parquet", "coco"]
    scene.run("first", maker, formats=formats)
    one_colour = scene.manifest.images_of_one_colour
    assert scene.manifest.reused == 0 and scene.manifest.base is None
    expected = change(scene)
    again = scene.run("again", maker, base="gs://b/first", formats=formats)
    found, counts = scene.manifest, scene.counts
    assert found.reused == counts.images_reused == expected
    assert found.base is not None and found.base["manifest"] == "gs://b/first/manifest.json"
    assert found.images_of_one_colour == one_colour * (2 if change is _copied else 1)
    assert again == scene.run("whole", maker, formats=formats)
    # a chain, with another threshold and without candidates of its own
    lower = scene.run("lower", maker, base="gs://b/again", score_threshold=0.2, keeps_candidates=False, formats=["csv"])
    assert scene.manifest.reused == found.images_predicted
    assert lower == scene.run("direct", maker, score_threshold=0.2, keeps_candidates=False, formats=["csv"])


def test_only_what_changed_is_read(scene):
    with engines.opened("threads", scene.model) as maker:
        scene.run("first", maker)
        assert len(scene.gets) == IMAGES + 1
        for number in (3, 4):
            scene.change(number)
        scene.run("again", maker, base="gs://b/first")
    failed = f"gs://b/images/{SPOILT:02d}.jpg"  # is always tried again
    assert sorted(scene.gets) == ["gs://b/images/03.jpg", "gs://b/images/04.jpg", failed]


def test_a_stop_in_between_changes_no_byte_and_no_count(scene, maker):
    scene.run("first", maker)
    scene.change(5)
    calm = scene.run("calm", maker, base="gs://b/first")
    said = (scene.bench.bucket / "calm" / "manifest.json").read_bytes()
    engines.finish(scene.bench, scene.job("stopped", base="gs://b/first"), maker, stop_after=1)
    assert scene.run("stopped", maker, base="gs://b/first") == calm
    assert (scene.bench.bucket / "stopped" / "manifest.json").read_bytes() == said


def test_only_new_images_have_lines_and_the_folder_is_a_whole_base_all_the_same(scene, maker):
    scene.run("first", maker)
    scene.change(5)
    (scene.folder / "02.jpg").unlink()
    (scene.folder / "ä, new.jpg").write_bytes(drawn_images.draw(77).content)
    output = scene.run("new", maker, base="gs://b/first", only_new=True, formats=["csv"])
    lines = [
        json.loads(line)["ID"] for name in output if name.startswith("image_") for line in output[name].splitlines()
    ]
    assert sorted(lines) == ["gs://b/images/05.jpg", "gs://b/images/ä, new.jpg"]
    assert output["removed.csv"] == b"gs://b/images/02.jpg\n"
    assert (scene.manifest.images_predicted, scene.manifest.reused) == (2, IMAGES - 2)
    scene.run("next", maker, base="gs://b/new")
    assert scene.manifest.reused == IMAGES
    problems = manifest.examine(scene.bench.stores, scene.bench.directory("new")).problems
    (scene.bench.bucket / "new" / "removed.csv").write_text("x\n")
    assert problems == [] != manifest.examine(scene.bench.stores, scene.bench.directory("new")).problems


def test_an_audit_finds_other_bytes_behind_the_same_time_and_size(scene, maker):
    scene.run("first", maker)
    assert scene.run("audited", maker, base="gs://b/first", reuse_audit=1.0) == scene.run("whole", maker)
    path = scene.folder / "03.jpg"
    before, content = path.stat(), bytearray(path.read_bytes())
    content[-40] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
    scene.run("unaudited", maker, base="gs://b/first")  # the documented limit of folders
    job = scene.job("found", base="gs://b/first", reuse_audit=1.0)
    with pytest.raises(errors.ApiError, match=f"images/03.jpg: .* its bytes changed .*{job.spec.policy_digest}"):
        engines.finish(scene.bench, job, maker)


def _vanish(folder: pathlib.Path) -> None:
    shutil.rmtree(folder)


def _lose_manifest(folder: pathlib.Path) -> None:
    (folder / "manifest.json").write_text("{}")


def _lose_candidates(folder: pathlib.Path) -> None:
    shutil.rmtree(folder / "candidates")


def _another_policy(folder: pathlib.Path) -> None:
    path = folder / "manifest.json"
    said = json.loads(path.read_text())
    said["model"]["policy_digest"] = "0" * 64
    path.write_text(json.dumps(said))


def _another_project(folder: pathlib.Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace("projects/p/", "projects/q/"))


@pytest.mark.parametrize("loss", [_vanish, _lose_manifest, _lose_candidates, _another_policy, _another_project])
def test_a_base_that_is_of_no_use_costs_no_result(scene, loss):
    with engines.opened("threads", scene.model) as maker:
        whole = scene.run("first", maker)
        loss(scene.bench.bucket / "first")
        assert scene.run("again", maker, base="gs://b/first") == whole
        assert scene.manifest.reused == 0
        assert (scene.manifest.base is None) == (loss is not _lose_candidates)


def test_a_damaged_file_of_the_base_costs_the_images_in_it_alone(scene):
    with engines.opened("threads", scene.model) as maker:
        whole = scene.run("first", maker)
        first = sorted((scene.bench.bucket / "first" / "candidates").iterdir())[0]
        first.write_bytes(first.read_bytes()[:-9] + b"123456789")
        assert scene.run("again", maker, base="gs://b/first") == whole
        assert scene.manifest.reused == IMAGES - 8


def test_any_order_is_taken_over(scene, maker):
    names = [f"gs://b/images/{number:02d}.jpg" for number in range(IMAGES)]
    scene.run("first", maker)
    random.Random(1).shuffle(names)
    scene.bench.write_list(names)

    def listed(name: str, **values) -> dict[str, bytes]:
        job = scene.job(name, **values)
        job = dataclasses.replace(job, spec=dataclasses.replace(job.spec, input_uris=["gs://b/list.csv"]))
        engines.finish(scene.bench, job, maker)
        output = scene.bench.output(name)
        del output["manifest.json"]
        return output

    assert listed("shuffled", base="gs://b/first") == listed("whole")

"""Examples, splits, the cache of pixels, and the views that training makes of them."""

from __future__ import annotations

import io
import json
import pathlib

import numpy as np
import pytest
from PIL import Image
from tests.support.images import drawn_images
from tests.unit.detector import conftest

from boxwright.detector.data import augment, dataset
from boxwright.learning import pixel_cache, views

FRAME_HW = (96, 96)


def examples_of(rows: list[dict], tmp_path: pathlib.Path) -> list[dataset.Example]:
    path = tmp_path / "examples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return dataset.read_examples(path)


def row(name: str, ml_use: str = "UNASSIGNED") -> dict:
    return {"uri": name, "sha256": f"sha-of-{name}", "ml_use": ml_use, "boxes": [[0, 0.1, 0.1, 0.5, 0.5]]}


def names(examples: tuple[dataset.Example, ...]) -> set[str]:
    return {one.uri for one in examples}


def test_unassigned_images_are_dealt_80_10_10_by_content(tmp_path: pathlib.Path) -> None:
    rows = [row(f"i{index}") for index in range(2000)]
    splits = dataset.resolve_splits(examples_of(rows, tmp_path))
    sizes = [len(splits.train), len(splits.validation), len(splits.test)]
    assert sum(sizes) == 2000 and 1540 < sizes[0] < 1660 and 150 < sizes[1] < 250 and 150 < sizes[2] < 250
    assert splits.notes == ()
    again = dataset.resolve_splits(
        examples_of(rows[1000:], tmp_path)
    )  # an image keeps its split whatever else there is
    assert names(again.test) == {name for name in names(splits.test) if int(name[1:]) >= 1000}


def test_what_the_user_assigned_stays(tmp_path: pathlib.Path) -> None:
    rows = [row("a", "TRAIN"), row("b", "VALIDATION"), row("c", "TEST"), row("d", "TRAIN")]
    splits = dataset.resolve_splits(examples_of(rows, tmp_path))
    assert (names(splits.train), names(splits.validation), names(splits.test)) == ({"a", "d"}, {"b"}, {"c"})


def test_an_empty_split_is_filled_from_training_and_said_so(tmp_path: pathlib.Path) -> None:
    rows = [row(f"i{index}", "TRAIN") for index in range(200)]
    splits = dataset.resolve_splits(examples_of(rows, tmp_path))
    assert splits.train and splits.validation and splits.test
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 200
    assert len(splits.notes) == 2 and "VALIDATION" in splits.notes[0] and "TEST" in splits.notes[1]
    tiny = dataset.resolve_splits(examples_of(rows[:3], tmp_path))
    assert len(tiny.train) >= 1 and len(tiny.validation) >= 1 and len(tiny.test) >= 1
    alone = dataset.resolve_splits(examples_of(rows[:1], tmp_path))
    assert len(alone.train) == 1 and not alone.test


def test_boxes_without_area_are_dropped_and_others_clipped(tmp_path: pathlib.Path) -> None:
    rows = [{**row("a"), "boxes": [[1, 0.5, 0.5, 0.5, 0.9], [2, -0.1, 0.2, 1.2, 0.4]]}, {**row("b"), "boxes": []}]
    first, second = examples_of(rows, tmp_path)
    assert first.label_indices.tolist() == [2]
    assert np.allclose(first.boxes_norm, [[0, 0.2, 1, 0.4]])
    assert second.boxes_norm.shape == (0, 4)


def test_an_unreadable_line_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="line 2 is unreadable"):
        examples_of([row("a"), {"uri": "b"}], tmp_path)


def test_the_cache_keeps_its_limit_and_its_answers(drawn: conftest.Drawn) -> None:
    reads: list[str] = []

    def read(uri: str) -> bytes:
        reads.append(uri)
        return drawn.read(uri)

    uris = list(drawn.images)[:4]
    size_bytes = pixel_cache.PixelCache(drawn.read, FRAME_HW, 1 << 30).get(uris[0]).nbytes
    cache = pixel_cache.PixelCache(read, FRAME_HW, 2 * size_bytes)
    first = [cache.get(uri).copy() for uri in uris]
    assert cache.is_full
    second = [cache.get(uri) for uri in uris]
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))
    assert reads == uris + uris[2:]  # two were kept
    assert max(first[0].shape) <= round(96 * pixel_cache.CACHE_SCALE)


def test_what_cannot_be_read_is_named() -> None:
    cache = pixel_cache.PixelCache({"gs://b/text.jpg": b"text"}.__getitem__, FRAME_HW, 1 << 20)
    with pytest.raises(pixel_cache.UnreadableImage, match=r"gs://b/text\.jpg: Not an image"):
        cache.get("gs://b/text.jpg")
    with pytest.raises(pixel_cache.UnreadableImage, match=r"gs://b/gone\.jpg: the image cannot be read"):
        cache.get("gs://b/gone.jpg")
    assert cache.warm("gs://b/gone.jpg") == 0


def source_of(drawn: conftest.Drawn, tmp_path: pathlib.Path, warnings: list[str], seed: int = 0) -> augment.BatchSource:
    cache = pixel_cache.PixelCache(drawn.read, FRAME_HW, 1 << 28)
    return augment.BatchSource(examples_of(drawn.rows, tmp_path), cache, seed=seed, batch_size=4, warn=warnings.append)


def test_a_batch_is_a_function_of_seed_and_step(drawn: conftest.Drawn, tmp_path: pathlib.Path) -> None:
    view = augment.View(FRAME_HW, 0.5)
    one, other = source_of(drawn, tmp_path, []), source_of(drawn, tmp_path, [])
    for step in (5, 0, 19):
        first, second = one.batch(step, view), other.batch(step, view)
        assert np.array_equal(first.pixels, second.pixels) and np.array_equal(first.boxes_px, second.boxes_px)
    assert not np.array_equal(one.batch(1, view).pixels, one.batch(2, view).pixels)
    assert not np.array_equal(one.batch(1, view).pixels, source_of(drawn, tmp_path, [], 9).batch(1, view).pixels)


@pytest.mark.parametrize(
    "view",
    [
        augment.View((128, 160), 0.0),
        augment.View((128, 160), 1.0),
        augment.View((128, 160), 0.5, flips=True),
        augment.View((128, 160), 0.0, input_hw=(256, 320)),
        augment.View((128, 160), 1.0, input_hw=(192, 240)),
    ],
)
def test_boxes_stay_on_their_shapes(drawn: conftest.Drawn, tmp_path: pathlib.Path, view: augment.View) -> None:
    source = source_of(drawn, tmp_path, [])
    checked = 0
    for step in range(12):
        batch = source.batch(step, view)
        for pixels, boxes_px, labels, present in zip(
            batch.pixels.astype(int), batch.boxes_px, batch.label_indices, batch.present, strict=True
        ):
            assert (boxes_px[present] >= 0).all() and (boxes_px[present] <= [160, 128, 160, 128]).all()
            for (left, top, right, bottom), label in zip(boxes_px[present], labels[present], strict=True):
                x, y = int((left + right) / 2), int((top + bottom) / 2)
                at_border = min(left, top) <= 0 or right >= 160 or bottom >= 128
                if (
                    right - left < 12
                    or (at_border and view.input_hw)
                    or abs((right - left) / (bottom - top) - 1) > 0.05
                ):
                    continue  # cut: its middle need not be inside a disc
                red, _, blue = pixels[y, x]
                checked += 1
                assert (red > blue + 40) if label == 0 else (blue > red + 40)
    assert checked > (60 if view.input_hw is None else 10)


def test_flips_change_nothing_else(drawn: conftest.Drawn, tmp_path: pathlib.Path) -> None:
    source = source_of(drawn, tmp_path, [])
    flipped = 0
    for step in range(8):
        upright = source.batch(step, augment.View((128, 160), 0.3))
        freed = source.batch(step, augment.View((128, 160), 0.3, flips=True))
        for before, after in zip(upright.pixels, freed.pixels, strict=True):
            flipped += not np.array_equal(before, after)
            assert np.array_equal(before, after) or np.array_equal(before[::-1], after)
    assert 8 < flipped < 24


def test_windows_show_objects_of_the_input_at_their_size(drawn: conftest.Drawn, tmp_path: pathlib.Path) -> None:
    source = source_of(drawn, tmp_path, [])
    whole, windows, corners = [], [], 0
    for step in range(12):
        whole.append(source.batch(step, augment.View((384, 480), 0.0, scale_jitter=0.0)))
        windows.append(source.batch(step, augment.View((192, 256), 0.0, input_hw=(384, 480), scale_jitter=0.0)))
        corners += int((windows[-1].pixels[:, 0, 0] == views.FILL).all(axis=-1).sum())

    def longest(batches: list[augment.Batch]) -> float:
        boxes_px = np.concatenate([one.boxes_px[one.present] for one in batches])
        sides = boxes_px[:, 2:] - boxes_px[:, :2]
        return float(np.sort(sides.max(axis=1))[-3])  # few are cut

    assert {one.pixels.shape for one in windows} == {(4, 192, 256, 3)}
    assert longest(windows) == pytest.approx(longest(whole), rel=0.3)
    assert np.mean([one.present.any(axis=1).mean() for one in windows]) > augment.ON_OBJECT
    assert corners < 24  # a window stays in its image


def test_framed_images_look_as_in_prediction(drawn: conftest.Drawn, tmp_path: pathlib.Path) -> None:
    source = source_of(drawn, tmp_path, [])
    framed = 0
    for step in range(8):
        usual = source.batch(step, augment.View((128, 160), 0.0))
        often = source.batch(step, augment.View((128, 160), 0.0, framed=0.5))
        always = source.batch(step, augment.View((128, 160), 0.0, framed=1.0))
        assert not any(map(np.array_equal, usual.pixels, always.pixels))
        framed += sum(map(np.array_equal, often.pixels, always.pixels))
        assert (always.present.sum(axis=1) >= usual.present.sum(axis=1)).all()  # nothing is cut off
    assert 8 < framed < 24


def test_an_edge_of_a_view_is_where_the_boxes_say(tmp_path: pathlib.Path) -> None:
    image = Image.new("RGB", (100, 80), (0, 0, 0))
    image.paste((255, 255, 255), (20, 30, 60, 70))
    for scale, left, top in [(1.0, 0.0, 0.0), (1.37, -20.4, -11.7), (0.71, 12.3, 20.9), (2.5, -60.0, -90.0)]:
        pixels = np.asarray(views.place(image, (96, 120), scale, left, top))[..., 0]
        inside = np.argwhere(pixels > 200)
        expected = np.asarray([20, 30, 60, 70]) * scale + [left, top, left, top]
        expected = np.clip(expected, 0, [120, 96, 120, 96])
        found = [inside[:, 1].min(), inside[:, 0].min(), inside[:, 1].max() + 1, inside[:, 0].max() + 1]
        assert np.abs(np.asarray(found) - expected).max() < 1.6


def test_every_image_comes_once_an_epoch(drawn: conftest.Drawn, tmp_path: pathlib.Path) -> None:
    seen: list[str] = []

    class Recording(pixel_cache.PixelCache):
        def get(self, uri: str) -> np.ndarray:
            seen.append(uri)
            return super().get(uri)

    cache = Recording(drawn.read, FRAME_HW, 1 << 28)
    examples = examples_of(drawn.rows, tmp_path)
    source = augment.BatchSource(examples, cache, seed=0, batch_size=4, warn=lambda message: None)
    for step in range(len(examples) // 4):
        source.batch(step, augment.View(FRAME_HW, 0.0))
    assert sorted(seen) == sorted(drawn.images)


def test_an_unreadable_image_is_replaced_and_reported_once(drawn: conftest.Drawn, tmp_path: pathlib.Path) -> None:
    broken = conftest.Drawn({**drawn.images, drawn.rows[3]["uri"]: b"text"}, drawn.rows)
    warnings: list[str] = []
    source = source_of(broken, tmp_path, warnings)
    for step in range(12):
        assert source.batch(step, augment.View(FRAME_HW, 0.5)).pixels.shape == (4, 96, 96, 3)
    assert len(warnings) == 1 and drawn.rows[3]["uri"] in warnings[0]
    nothing = conftest.Drawn(dict.fromkeys(drawn.images, b""), drawn.rows)
    with pytest.raises(pixel_cache.UnreadableImage, match="in a row"):
        source_of(nothing, tmp_path, []).batch(0, augment.View(FRAME_HW, 0.0))


def test_prefetched_batches_come_in_order(drawn: conftest.Drawn, tmp_path: pathlib.Path) -> None:
    source = source_of(drawn, tmp_path, [])
    view = augment.View(FRAME_HW, 0.3)
    prefetcher = views.Prefetcher(source, lambda step: view, 7)
    try:
        for step in range(7, 15):
            assert np.array_equal(prefetcher.take().pixels, source.batch(step, view).pixels)
    finally:
        prefetcher.close()


def test_images_of_one_colour_are_remembered() -> None:
    blank = io.BytesIO()
    Image.new("RGB", (64, 48), (30, 60, 90)).save(blank, "JPEG")
    contents = {"gs://b/blank.jpg": blank.getvalue(), "gs://b/other.jpg": drawn_images.draw(0).content}
    cache = pixel_cache.PixelCache(contents.__getitem__, FRAME_HW, 1 << 20)
    for uri in contents:
        cache.get(uri)
    assert cache.one_colour == {"gs://b/blank.jpg"}

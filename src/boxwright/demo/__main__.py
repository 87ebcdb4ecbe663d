"""`python -m boxwright.demo`: the guided tour's command."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import shutil
import sys
import time
from collections.abc import Sequence

from boxwright.demo import contact_sheet, dataset, drawn, folder, kinds, progress, results, service, steps, table

DRAWN_MINUTES = 3.5  # the drawn set is learnt by then, and the whole tour stays below five minutes on two cores
FOLDER_MINUTES = 10.0
MARKER = ".boxwright-demo"  # a folder that holds it was made by the demo and may be emptied by it
BUDGET_REACHED = "BUDGET_REACHED"  # of the API
SEED = 1
TINY = drawn.Sizes(train=40, validation=10, test=12)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the tour and returns the exit status."""
    options = _parse(arguments)
    reporter = progress.Reporter()
    try:
        run(options, reporter)
    except (dataset.DataError, service.ServiceError, steps.StepError, OutError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    return 0


class OutError(Exception):
    """The output folder cannot be used."""


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m boxwright.demo",
        description="From labelled images to predictions through the AutoML v1 API, on this machine.",
    )
    parser.add_argument(
        "--data",
        type=pathlib.Path,
        metavar="DIR",
        help="a folder with labels.csv and its images, or, with --kind classification, a folder for each label; "
        "without it, a set is drawn",
    )
    parser.add_argument(
        "--kind",
        choices=tuple(kinds.KINDS),
        default="detection",
        help="whether objects are found or whole images are labelled (default %(default)s)",
    )
    parser.add_argument("--keep", action="store_true", help="leave the service running at the end")
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="M",
        help=f"training minutes at most (default {DRAWN_MINUTES:g}; with --data {FOLDER_MINUTES:g})",
    )
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("demo-run"), help="where everything is written"
    )
    parser.add_argument("--tiny", action="store_true", help="draw a few dozen images only, to try the tour itself")
    options = parser.parse_args(arguments)
    if options.minutes is None:
        options.minutes = FOLDER_MINUTES if options.data else DRAWN_MINUTES
    if not options.minutes > 0:
        parser.error("--minutes must be more than 0")
    return options


def run(options: argparse.Namespace, reporter: progress.Reporter) -> None:
    """The tour, step by step."""
    started_s = time.monotonic()
    out: pathlib.Path = options.out.resolve()
    kind = kinds.KINDS[options.kind]
    pictures = _read_data(kind, options.data, out) if options.data else None  # before anything is removed
    _prepare_out(out)
    buckets = out / "buckets"
    data = _make_dataset(options, kind, pictures, buckets / dataset.BUCKET, reporter)
    import_uri, batch_uri = dataset.write_import_csv(data, kind.rows_of), dataset.write_batch_csv(data)
    reporter.say(
        f"Data set: {data.count('TRAIN')} training, {data.count('VALIDATION')} validation, {data.count('TEST')} test,"
        f" {data.count('UNASSIGNED')} unassigned images in {data.folder}"
    )
    with service.running(out, buckets, options.minutes, options.keep) as running:
        reporter.say(f"Service:  gRPC on {running.grpc_target}, REST on {running.url}")
        tour = steps.DemoSteps(running.grpc_target, reporter, running.check_alive)
        try:
            outcome = _walk(tour, kind, data, (import_uri, batch_uri), reporter)
        finally:
            tour.close()
        _report(kind, data, outcome, out, started_s, reporter)
        if options.keep:
            _say_how_to_call(running, outcome.model_name, reporter)


@dataclasses.dataclass(frozen=True)
class _Outcome:
    """What the API's own steps gave.

    Attributes:
        quality: name and value of the model's one figure.
        best: the confidence with the best overall F1, and that F1.
    """

    model_name: str
    rows: list[table.EvaluationRow]
    quality: tuple[str, float]
    best: tuple[float, float]
    batch: steps.BatchOutcome


def _walk(
    tour: steps.DemoSteps,
    kind: kinds.DemoKind,
    data: dataset.DataSet,
    lists: tuple[str, str],
    reporter: progress.Reporter,
) -> _Outcome:
    """The API's own steps; `lists` are the addresses of the import list and the batch list."""
    created = tour.create_dataset(kind.new_dataset("demo", data))
    failures = tour.import_data(created.name, lists[0])
    for failure in failures:
        reporter.say(f"    {failure}")
    model = tour.train(kind.new_model("demo_model", created.name.rpartition("/")[2]))
    reporter.say(f"  model: {model.name}")
    if kind.stop_reason(model) == BUDGET_REACHED:
        reporter.say(
            "  The time limit has ended the training. MINUTES=10 (--minutes) gives it more, and the model may become better."
        )
    evaluations = tour.evaluations(model.name)
    rows = table.in_order(kind.row(evaluation) for evaluation in evaluations)
    overall = next(evaluation for evaluation in evaluations if not evaluation.display_name)
    reporter.say()
    reporter.console.print(table.render(kind.headings, rows))
    reporter.say()
    batch = tour.batch_predict(model.name, lists[1], dataset.uri("predictions/"))
    return _Outcome(model.name, rows, kind.quality(data, overall), kind.best_confidence(overall), batch)


def _make_dataset(
    options: argparse.Namespace,
    kind: kinds.DemoKind,
    pictures: list[dataset.DemoImage] | None,
    bucket: pathlib.Path,
    reporter: progress.Reporter,
) -> dataset.DataSet:
    bucket.mkdir(parents=True)
    if pictures is not None:
        total = len(pictures)
        with reporter.step("link images") as show:
            return folder.link_dataset(options.data, bucket, pictures, lambda count: show(100 * count / total))
    sizes = TINY if options.tiny else kind.sizes
    with reporter.step("draw images") as show:
        return kind.draw(bucket, SEED, sizes, lambda count: show(100 * count / sizes.total))


def _read_data(kind: kinds.DemoKind, source: pathlib.Path, out: pathlib.Path) -> list[dataset.DemoImage]:
    """The images of the user's folder."""
    if source.resolve().is_relative_to(out):
        raise OutError(f"{source} lies inside {out}, which the demo empties; name another folder with --out.")
    return kind.read(source)


def _prepare_out(out: pathlib.Path) -> None:
    """An empty folder with the demo's mark; only a folder that already bears it is emptied."""
    url = service.running_url(out)
    if url:
        raise OutError(
            f"The service that an earlier demo left running at {url} uses {out}.\n"
            f"Stop it first (its process id is in {out / 'service.json'}),"
            f" or name another folder with --out (OUT= with make)."
        )
    if out.exists() and not (out / MARKER).exists() and any(out.iterdir()):
        raise OutError(f"{out} is not empty and was not made by the demo; name another folder with --out.")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / MARKER).touch()


def _report(
    kind: kinds.DemoKind,
    data: dataset.DataSet,
    outcome: _Outcome,
    out: pathlib.Path,
    started_s: float,
    reporter: progress.Reporter,
) -> None:
    """Reads the files back, writes the page and prints the outcome."""
    batch, (confidence, f1) = outcome.batch, outcome.best
    files = steps.local_path(batch.directory, out / "buckets")
    found = results.read_results(files)
    images = len(found.predictions)
    rate = f"{images / batch.elapsed_s:.1f} images/s" if batch.elapsed_s > 0 else "too quick to measure"
    summary = [
        (outcome.quality[0], f"{outcome.quality[1]:.3f}"),
        ("best F1", f"{f1:.3f} at a score of {confidence:.2f}"),
        ("images predicted", str(images)),
        ("images failed", str(len(found.errors))),
        ("batch prediction", f"{batch.elapsed_s:.1f} s, {rate}"),
    ]
    page = out / "index.html"
    facts = contact_sheet.PageFacts("Boxwright: what the demo found", summary, outcome.rows, confidence)
    contact_sheet.write_contact_sheet(page, kind, data, found, facts)
    reporter.say()
    for name, value in summary:
        reporter.say(f"{name + ':':<18} {value}")
    for uri, why in found.errors.items():
        reporter.say(f"    {uri}: {why}")
    reporter.say(f"{'JSONL files:':<18} {files}")
    reporter.say(f"{'contact sheet:':<18} {page}")
    reporter.say(f"{'whole demo:':<18} {time.monotonic() - started_s:.0f} s")


def _say_how_to_call(running: service.Service, model_name: str, reporter: progress.Reporter) -> None:
    output = dataset.uri("more-predictions/")
    body = (
        f'{{"inputConfig": {{"gcsSource": {{"inputUris": ["{dataset.uri(dataset.BATCH_CSV)}"]}}}},'
        f' "outputConfig": {{"gcsDestination": {{"outputUriPrefix": "{output}"}}}},'
        f' "params": {{"score_threshold": "0.5"}}}}'
    )
    reporter.say(f"\nOpen this address in a browser: {running.url}/console/")
    reporter.say(f"\nThe service keeps running: REST on {running.url}, gRPC on {running.grpc_target}. Try:\n")
    reporter.say(
        f"curl -X POST -H 'Content-Type: application/json' -d '{body}' {running.url}/v1/{model_name}:batchPredict\n"
    )
    reporter.say(f"curl {running.url}/v1/{steps.PARENT}/operations\n")
    reporter.say(f"Stop it with: kill {running.process.pid}")


if __name__ == "__main__":
    sys.exit(main())

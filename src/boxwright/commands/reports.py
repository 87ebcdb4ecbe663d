"""``boxwright batch report``: where a job's report is, opened in a browser, and its proposals imported into a dataset."""

from __future__ import annotations

import argparse
import pathlib
import webbrowser

from boxwright import errors
from boxwright.commands import asking, finding, waiting
from boxwright.commands.connection import RestConnection

PAGE, PROPOSALS = "report/report.html", "report/prelabels.csv"


def add_report(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Adds ``batch report``."""
    report = asking.add_action(
        actions,
        "report",
        _report,
        "say where the report of a batch prediction is, open it, or import its proposals",
        "boxwright batch report gs://photos/results/prediction-cars_1-2026-11-28T09:00:00.000Z --buckets buckets --open",
    )
    report.add_argument("folder", metavar="FOLDER", help="the results' folder: its address, or a path of this machine")
    report.add_argument(
        "--buckets", type=pathlib.Path, metavar="DIR", help="each sub-folder NAME is gs://NAME/, as for boxwright serve"
    )
    report.add_argument("--open", action="store_true", dest="opens", help="open the page in a browser")
    report.add_argument(
        "--import",
        dest="dataset",
        metavar="DATASET",
        help="import prelabels.csv into this dataset as proposals, which no training learns from until somebody has looked",
    )
    return report


def _report(options: argparse.Namespace) -> int:
    path, address = _located(options.folder, options.buckets)
    if path is not None and not (path / PAGE).is_file():
        raise errors.not_found(
            f"{path} has no {PAGE}. A batch prediction writes it at its end if it keeps candidates and its params do not "
            "say report=false; the log of the service says if it failed."
        )
    print(path / PAGE if path is not None else f"{address}/{PAGE}")
    if options.opens:
        if path is None:
            raise errors.bad_request("--open: the page is in a bucket; name the folder of the buckets with --buckets.")
        webbrowser.open((path / PAGE).resolve().as_uri())
    if options.dataset is None:
        return 0
    if address is None:
        raise errors.bad_request(
            "--import: the service reads by addresses; name the folder as gs://BUCKET/…, or the buckets with --buckets."
        )
    connection = RestConnection(options)
    name = finding.find(connection, options.dataset, "datasets")["name"]
    body = {"inputConfig": {"gcsSource": {"inputUris": [f"{address}/{PROPOSALS}"]}, "params": {"reviewed": "false"}}}
    operation = connection.call("POST", f"{name}:importData", body=body)
    return waiting.started(connection, operation, wait=options.wait, as_json=options.as_json)


def _located(folder: str, buckets: pathlib.Path | None) -> tuple[pathlib.Path | None, str | None]:
    """A results' folder on this machine and as an address, as far as either is known."""
    shown = folder.rstrip("/").removesuffix("/manifest.json")
    if "://" in shown:
        return (buckets / shown.partition("://")[2] if buckets and shown.startswith("gs://") else None), shown
    path = pathlib.Path(shown)
    if buckets is not None and path.resolve().is_relative_to(buckets.resolve()):
        return path, f"gs://{path.resolve().relative_to(buckets.resolve())}"
    return path, None

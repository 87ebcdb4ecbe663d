"""What ``boxwright weights install``, ``list`` and ``remove`` do."""

from __future__ import annotations

import argparse
import json
import pathlib

from boxwright.weights import catalogue, install, installed


def run(options: argparse.Namespace, chosen: pathlib.Path | None) -> int:
    """Does what the command line asks for; returns the exit status.

    Args:
        options: the command line.
        chosen: the setting `weights_dir`.

    Raises:
        ApiError: it cannot be done; the text says what to do.
    """
    place = installed.folder(chosen)
    if options.action == "install":
        for one in catalogue.ALL:
            install.install(place, one, options.source, lambda line: print(line, flush=True))
    elif options.action == "remove":
        path = installed.remove(place, options.name)
        print(f"{options.name} was not installed." if path is None else f"{path} is deleted.")
    else:
        _list(place, options.as_json)
    return 0


def _list(place: pathlib.Path, as_json: bool) -> None:
    rows = []
    for one in catalogue.ALL:
        path, problem = place / one.file_name, installed.state(place, one)
        rows.append(
            {
                "name": one.name,
                "installed": not problem,
                "file": str(path) if path.exists() else None,
                "problem": problem or None,
                "summary": one.summary,
                "source": f"npm {one.spec}",
                "trained_on": one.trained_on,
                "licences": one.licences,
                "tensors_sha256": one.tensors_sha256,
            }
        )
    if as_json:
        print(json.dumps({"folder": str(place), "weights": rows}, indent=2, ensure_ascii=False))
        return
    for row in rows:
        print(f"{row['name']}  {'installed: ' + str(row['file']) if row['installed'] else row['problem']}")
        print(f"  {row['summary']}")
        print(f"  From {row['source']}. {row['licences']}")

"""Makes the tables of the documents from the files in benchmarks/results.

    python -m benchmarks.tables            writes every table anew
    python -m benchmarks.tables --check    says which ones differ from their results, with status 1

A table stands between ``<!-- table NAME: python -m benchmarks.tables -->`` and ``<!-- end -->``. A row whose figures a
results file lacks is left out.
"""

from __future__ import annotations

import argparse
import pathlib
import re
import statistics
import sys
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.harness import results

PAGES = ("README.md", "docs/benchmarks.md", "docs/models.md")
TABLE = re.compile(r"(<!-- table (\w+): python -m benchmarks\.tables -->\n)(.*?)(<!-- end -->)", re.DOTALL)
KINDS = {"vga": "VGA", "1080p": "1080p", "mix": "mix"}

# What stands before a row of the throughput tables, its figures, and how a cell is written.
THROUGHPUT = (
    ("limit", ("limit",), "{:.0f}"),
    ("loaded", ("loaded",), "{:.0f}"),
    ("**ours**", ("ours",), "**{:.0f}**"),
    ("engine", ("engine",), "{:.0f}"),
    ("naive, our network in fp32", ("naive",), "{:.0f}"),
    ("naive, Lite0", ("naive_lite0",), "{:.0f}"),
    ("torch, Lite0", ("torch_lite0",), "{:.0f}"),
    ("Ray Data, working / call to done", ("ray_working", "ray_call_to_done"), "{:.0f} / {:.0f}"),
    ("ours ÷ limit", ("ours_over_limit",), "{:.2f}"),
    ("ours ÷ loaded", ("ours_over_loaded",), "{:.2f}"),
    ("engine ÷ limit", ("engine_over_limit",), "{:.2f}"),
    ("engine ÷ loaded", ("engine_over_loaded",), "{:.2f}"),
    ("ours ÷ naive, ÷ naive Lite0", ("ours_over_naive", "ours_over_naive_lite0"), "{:.1f}, {:.1f}"),
    ("ours ÷ torch Lite0", ("ours_over_torch_lite0",), "{:.1f}"),
    (
        "ours ÷ Ray, working / call to done",
        ("ours_over_ray_working", "ours_over_ray_call_to_done"),
        "{:.1f} / {:.1f}",
    ),
    (
        "CPU time outside the work, engine / service and child",
        ("cpu_outside_percent", "ours_cpu_outside_percent"),
        "{:.1f} / {:.1f} %",
    ),
    ("cores used during the call", ("cpu_use_percent",), "{:.0f} %"),
)
SHORT_THROUGHPUT = (
    ("the machine's limit: decoding, inference, post-processing", ("limit",), "{:.0f}"),
    ("**Boxwright**, from the call to `done`", ("ours",), "**{:.0f}**"),
    ("Ray Data, without its start", ("ray_working",), "{:.0f}"),
    ("Pillow and ONNX Runtime, the same network", ("naive",), "{:.0f}"),
    ("Pillow and ONNX Runtime, EfficientNet-Lite0", ("naive_lite0",), "{:.0f}"),
    ("Pillow and PyTorch, EfficientNet-Lite0", ("torch_lite0",), "{:.0f}"),
)
STUDIES = (
    (
        "start of the service",
        "2026-11-24-service-start",
        "startup",
        "ready after {ready_s:.2f} s; the first job of a fresh service (72 images) takes {cold_72_images_s:.2f} s, "
        "a warm one {warm_72_images_s:.2f} s",
    ),
    (
        "many jobs at once",
        "2026-11-24-many-jobs",
        "scaling",
        "{small_jobs} small jobs end within {small_job_p99_s} s beside a huge one of {huge_job_s} s",
    ),
    (
        "batch memory",
        "2026-11-24-batch-memory",
        "memory",
        "memory rises by {rows_growth_percent} % over a list of {rows:,} rows",
    ),
    (
        "decoding at a fraction of the size",
        "2026-11-24-decoding-at-a-fraction",
        "decode_fidelity",
        "costs {mean_enlarged_cost:.2f} points of AP on average",
    ),
    (
        "killing processes",
        "2026-11-24-killing-processes",
        "crash",
        "{kills} kills in {batches} batches, no byte changed",
    ),
)
SPEEDS = {"accurate": "accurate", "accurate_lite0": "accurate, on Lite0", "fast": "fast"}
QUALITIES = {
    "bccd_accurate": "BCCD (blood cells), accurate",
    "cards_accurate": "playing cards, accurate",
    "bccd_fast": "BCCD, fast",
    "cards_fast": "playing cards, fast",
}


def _lines(rows: Iterable[Iterable[str]]) -> str:
    head, *body = ([*row] for row in rows)
    ruled = [head, ["---"] * len(head), *body]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in ruled).replace("|  |", "| |")


def _by_kind(rows: Iterable[tuple[str, tuple[str, ...], str]]) -> str:
    figures = results.read("throughput")["figures"]
    shown = [["", *KINDS.values()]]
    for words, names, form in rows:
        if all(name in figures for name in names):
            shown.append([words, *(form.format(*(figures[name][kind] for name in names)) for kind in KINDS)])
    return _lines(shown)


def throughput() -> str:
    """Everything that `throughput.py` compares."""
    return _by_kind(THROUGHPUT)


def short_throughput() -> str:
    """Boxwright, its limit and its rivals, with the run below."""
    run = results.read("throughput")
    facts = f"Version {run['versions']['boxwright']}, {run['date']}; {run['machine']}; {run['conditions']}."
    return f"{_by_kind(SHORT_THROUGHPUT)}\n{facts}\n"


def studies() -> str:
    """A sentence for each further result."""
    rows = [["study", "result"]]
    for title, page, name, sentence in STUDIES:
        figures: dict[str, Any] = results.read(name)["figures"]
        if name == "decode_fidelity":
            costs = [row["ap_cost"] for row in figures.values() if row["enlarged"]]
            figures = {**figures, "mean_enlarged_cost": statistics.mean(costs)}
        rows.append([f"[{title}](experiments/{page}.md)", sentence.format_map(figures)])
    return _lines(rows)


def network_speed() -> str:
    """Images per second of the networks in use."""
    figures = results.read("networks")["figures"]
    rows = [
        [words, str(figures[name]["fp32"]), str(figures[name]["int8"])]
        for name, words in SPEEDS.items()
        if name in figures
    ]
    return _lines([["type", "fp32", "int8"], *rows])


def quality() -> str:
    """Average precision by data set, type and seed."""
    figures = results.read("quality")["figures"]
    rows = [["data set, type", "seed", "mAP at 0.5", "mAP 0.5 to 0.95", "predicts in", "minutes in all"]]
    for name, words in QUALITIES.items():
        for place, row in enumerate(figures.get(name, ())):
            precision = f"{row['precision']}: {row['reason']}" if "reason" in row else row["precision"]
            figure = (f"{row['map_50']:.3f}", f"{row['map_50_95']:.3f}", precision, f"{row['minutes']:.1f}")
            rows.append(["" if place else words, str(row["seed"]), *figure])
    return _lines(rows)


TABLES: dict[str, Callable[[], str]] = {
    made.__name__: made for made in (throughput, short_throughput, studies, network_speed, quality)
}


def renewed(page: str) -> str:
    """The text of a page with its tables made anew."""
    return TABLE.sub(lambda found: found[1] + TABLES[found[2]]() + found[4], page)


def main() -> int:
    """Writes or checks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    different = []
    for page in PAGES:
        path = results.ROOT / page
        before = path.read_text(encoding="utf-8")
        after = renewed(before)
        if after != before:
            different.append(page)
            if not options.check:
                pathlib.Path(path).write_text(after, encoding="utf-8")
    print(f"{'differ' if options.check else 'written'}: {', '.join(different) or 'none'}")
    return 1 if options.check and different else 0


if __name__ == "__main__":
    sys.exit(main())

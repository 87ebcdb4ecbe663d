"""The end of a dry run in words: a line, a table of numbers, and what to mend before the job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from boxwright.commands import output, waiting
from boxwright.commands.connection import RestConnection


def show(connection: RestConnection, operation: dict[str, Any], *, as_json: bool) -> int:
    """Waits for the end of a dry run and prints it.

    Returns:
        The exit status: 0 if there is an estimate, else as `waiting.follow`.
    """
    if not operation.get("done"):
        ended = waiting.ended(connection, operation["name"])
        if ended is None:
            return waiting.INTERRUPTED
        operation = ended[0]
    if as_json or "error" in operation:
        return waiting.started(connection, operation, wait=False, as_json=as_json)
    told: dict[str, str] = operation.get("response", {}).get("metadata", {})
    print(output.safe(told.get("summary", "")))
    output.print_fields(in_fields(told), least_width=12)
    for warning in told.get("warnings", "").splitlines():
        output.print_fields({"mind": warning}, least_width=12)
    return waiting.SUCCEEDED


def in_fields(told: Mapping[str, str]) -> dict[str, str]:
    """The numbers of a dry run, a line each; empty where they are not known."""

    def number(key: str, places: int = 0) -> str:
        return output.number(float(told[key]), places) if key in told else ""

    low, high = (f"{100 * float(told.get(key, 0)):.1f}%" for key in ("missing_share_low", "missing_share_high"))
    seconds = [output.duration(float(told.get(key, 0))) for key in ("seconds_low", "seconds_high")]
    missing = f"{number('missing')} of {number('looked_at')} that were looked for ({low} to {high} of all)"
    sizes = {key: f"{float(told[key]) / 1e6:,.1f} MB" for key in _SIZES if key in told}
    return {
        "images": number("images"),
        "rows": f"{number('rows')}, {number('duplicates')} name an image again, {number('unusable')} unusable",
        "missing": missing,
        "suffixes": told.get("suffixes", ""),
        "time": f"{seconds[0]} to {seconds[1]} on {told.get('cores', '')} cores, {number('images_per_s', 1)} images/s",
        "taken over": f"{float(told['reused_share']):.1%} of the images"
        if "reused_share" in told
        else told.get("reuse", ""),
        "limited by": told.get("limited_by", ""),
        "advice": told.get("advice", ""),
        "sample": f"{number('sample_images')} predicted, {number('sample_failed')} failed, "
        f"{number('results_per_image', 1)} results and {number('megapixels', 1)} megapixels an image",
        **{_SIZES[key]: size for key, size in sizes.items()},
        "cost": told.get("cost", ""),
        "estimate": told.get("estimate", ""),
    }


_SIZES = {"bytes": "to read", "jsonl_bytes": "results", "candidates_bytes": "candidates", "free_bytes": "free room"}

"""The verdict on a batch job whose images have all been tried: whether too many failed, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Mapping


def too_many_failed(predicted: int, errors_by_code: Mapping[str, int], first: str, limit: float) -> str | None:
    """Returns what to say if the job fails as a whole, or None.

    Args:
        predicted: images with a result.
        errors_by_code: failed images by canonical code name.
        first: the message of the first failed image.
        limit: share of failed images above which the job fails, [0, 1]; it always fails if no image was predicted.
    """
    failed = sum(errors_by_code.values())
    images = predicted + failed
    if not failed or (predicted and failed / images <= limit):
        return None
    reasons = ", ".join(
        f"{count} {code}" for code, count in sorted(errors_by_code.items(), key=lambda entry: (-entry[1], entry[0]))
    )
    if predicted:
        start = f"{failed} of {images} images failed, more than image_failure_limit ({limit:g}) allows"
    else:
        start = "Nothing was predicted: " + (f"all {images} images failed" if images > 1 else "the only image failed")
    return (
        f"{start}: {reasons}, first: {first} The files stay; once the cause is mended, resume the operation, which tries "
        "the failed images again."
    )

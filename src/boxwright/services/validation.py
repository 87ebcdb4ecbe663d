"""Rules for the fields of requests, each raising INVALID_ARGUMENT that names the field. Sources: the proto comments."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from boxwright import errors, kinds, names, objects
from boxwright.batch.inputs import addresses, image_names
from boxwright.batch.job import is_manifest
from boxwright.batch.output import result_formats

MAX_DESCRIPTION_CHARS = 25_000
MAX_LABELS = 64
MAX_PAGE_SIZE = 1000
MAX_PARAM_CHARS = 25_000  # prediction_service.proto
DEFAULT_SCORE_THRESHOLD = 0.5
DEFAULT_MAX_BOXES = 100
MAX_BOXES = 500  # the documented maximum of max_bounding_box_count
MODEL_FORMATS = ("onnx", "openvino")
DEFAULT_MODEL_FORMAT = "onnx"
FOREIGN_FORMATS = ("tflite", "tf_saved_model", "tf_js", "edgetpu_tflite", "core_ml", "docker")  # io.proto names them
PREDICT_PARAMS = {
    kinds.OBJECT_DETECTION: ("score_threshold", "max_bounding_box_count"),
    kinds.IMAGE_CLASSIFICATION: ("score_threshold",),
}
LABEL_THRESHOLD = "score_threshold."  # and a display name
JOB_PARAMS = ("deadline_s", "notify", "priority")  # see `job_params`
INPUT_PARAMS = ("image_failure_limit", "input_column", "input_suffixes", "request_id", "validate_only")
REUSE_PARAMS = ("only_new", "reuse")
RESULT_PARAMS = ("candidates", "formats", "labels", "report", f"{LABEL_THRESHOLD}LABEL")  # which are written, and how
BATCH_PARAMS = {
    kind: (*known, *INPUT_PARAMS, *JOB_PARAMS, *REUSE_PARAMS, *RESULT_PARAMS) for kind, known in PREDICT_PARAMS.items()
}
IMPORT_PARAMS = ("reviewed", "unlabelled", "wide_box_limits")
MAX_COLUMN_CHARS = 200
MAX_SUFFIXES = 50
MAX_SHOWN_CHARS, MAX_SHOWN_PARAMS = 80, 20  # of keys that mean nothing here
_N = TypeVar("_N", int, float)
_HUMP = re.compile(r"([a-z])([A-Z])")
_DISPLAY_NAME = re.compile(r"[A-Za-z0-9_]{1,32}")
_LABEL_KEY = re.compile(r"[^\W\d_A-Z][\w-]{0,63}")
_REQUEST_ID = re.compile(r"[\w.:+-]{1,100}", re.ASCII)
_LABEL_VALUE = re.compile(r"[\w-]{0,64}")
_OPERATION = re.compile(r"(projects/[^/]{1,200}/locations/[^/]{1,200}/operations/)?[\w-]{1,100}", re.ASCII)
_SUFFIX = re.compile(r"\.?([A-Za-z0-9]{1,15})")


@dataclasses.dataclass(frozen=True)
class IgnoredParam:
    """A key of a request's ``params`` that means nothing here, and the known key that is most like it, if any is."""

    key: str
    nearest: str | None

    def __str__(self) -> str:
        return f"{self.key} (nearest known key: {self.nearest})" if self.nearest else self.key


def location(name: names.ResourceName, allowed: Sequence[str], field: str) -> None:
    """Refuses locations that this installation does not serve."""
    if name.location not in allowed:
        raise errors.invalid_argument(
            field, f"Location '{name.location}' is not served here; allowed: {', '.join(allowed)}."
        )


def display_name(text: str, field: str, *, starts_with_letter: bool = False) -> None:
    """At most 32 of ``[A-Za-z0-9_]``; a model's must start with a letter."""
    if not text:
        raise errors.invalid_argument(field, "Required field not set.")
    if not _DISPLAY_NAME.fullmatch(text):
        raise errors.invalid_argument(
            field, f"'{text[:80]}' must have at most 32 characters, each an ASCII letter, a digit or an underscore."
        )
    if starts_with_letter and not text[0].isalpha():
        raise errors.invalid_argument(field, f"'{text}' must start with a letter.")


def description(text: str, field: str) -> None:
    """At most 25,000 characters."""
    if len(text) > MAX_DESCRIPTION_CHARS:
        raise errors.invalid_argument(field, f"It has {len(text)} characters; the limit is {MAX_DESCRIPTION_CHARS}.")


def labels(values: Mapping[str, str], field: str) -> None:
    """At most 64 pairs of at most 64 lowercase letters, digits, ``_`` and ``-`` each; keys start with a letter."""
    if len(values) > MAX_LABELS:
        raise errors.invalid_argument(field, f"There are {len(values)} labels; the limit is {MAX_LABELS}.")
    for key, value in values.items():
        if not _LABEL_KEY.fullmatch(key) or key != key.lower():
            raise errors.invalid_argument(
                field,
                f"Label key '{key[:80]}' must start with a lowercase letter and have at most 64 lowercase letters, digits, "
                "underscores or dashes.",
            )
        if not _LABEL_VALUE.fullmatch(value) or value != value.lower():
            raise errors.invalid_argument(
                field,
                f"The value of label '{key}' may have at most 64 lowercase letters, digits, underscores or dashes.",
            )


def keep_best(values: Mapping[str, str], field: str) -> None:
    """The label that says whether a cancelled training delivers a model: ``true`` or ``false``, if it is there."""
    wish = values.get(names.KEEP_BEST_LABEL)
    if wish not in (None, "true", "false"):
        raise errors.invalid_argument(
            field, f"Label '{names.KEEP_BEST_LABEL}' must be 'true' or 'false', not '{wish}'."
        )


def page_size(requested: int, *, default: int = 100) -> int:
    """The page size to use: `default` when unset, never above 1000."""
    if requested < 0:
        raise errors.invalid_argument("page_size", f"{requested} is negative.")
    return min(requested or default, MAX_PAGE_SIZE)


def input_uris(
    uris: Sequence[str], field: str, schemes: Sequence[str] = objects.DEFAULT_SCHEMES
) -> list[objects.ObjectUri]:
    """One or more full object paths of the schemes served."""
    if not uris:
        raise errors.invalid_argument(field, "Required field not set.")
    return [_uri(uri, field, schemes) for uri in uris]


def import_lists(uris: Sequence[str], field: str, schemes: Sequence[str]) -> list[objects.ObjectUri]:
    """The lists of an import, as `input_uris`; a folder is refused with what would take it."""
    for uri in uris:
        if uri.endswith("/"):
            _uri(uri, field, schemes, directory=True)
            why = f"'{uri[:MAX_SHOWN_CHARS]}' is a folder: with unlabelled=true among the params, all its images are added."
            raise errors.invalid_argument(field, f"{why} Without, name the full path of a list.")
    return input_uris(uris, field, schemes)


def batch_inputs(
    uris: Sequence[str], field: str, schemes: Sequence[str] = objects.DEFAULT_SCHEMES
) -> list[addresses.InputAddress]:
    """One or more lists, archives, folders and patterns of the schemes served; or manifests, each in full."""
    if not uris:
        raise errors.invalid_argument(field, "Required field not set.")
    try:
        inputs = addresses.parse_all(uris, schemes)
    except errors.ApiError as error:
        raise errors.invalid_argument(field, error.message) from error
    manifests = [address.text for address in inputs if is_manifest(address.text)]
    if manifests and len(manifests) < len(inputs):
        why = "Manifests of former batch predictions and lists of images cannot be mixed; make two requests of them."
        raise errors.invalid_argument(field, why)
    if (manifests and manifests != list(uris)) or any("*" in text for text in manifests):
        why = "Write the address of each manifest in full; patterns and braces are for images and lists."
        raise errors.invalid_argument(field, why)
    return inputs


def image_folders(uris: Sequence[str], field: str, schemes: Sequence[str]) -> list[addresses.InputAddress]:
    """One or more folders of images, or patterns of their names."""
    inputs = batch_inputs(uris, field, schemes)
    for address in inputs:
        if address.meaning != addresses.Meaning.IMAGES:
            why = (
                f"{address.text[:MAX_SHOWN_CHARS]}: with unlabelled=true, name a folder of images with a slash at its "
                "end, or a pattern such as gs://BUCKET/FOLDER/*.jpg. Import lists by a call without it."
            )
            raise errors.invalid_argument(field, why)
    return inputs


def output_uri_prefix(prefix: str, field: str, schemes: Sequence[str] = objects.DEFAULT_SCHEMES) -> objects.ObjectUri:
    """A ``gs://bucket/directory`` prefix, with or without a slash at its end."""
    if not prefix:
        raise errors.invalid_argument(field, "Required field not set.")
    return _uri(prefix, field, schemes, directory=True)


def model_format(text: str, field: str) -> str:
    """The export format; empty means our documented default. What cannot be produced here is refused, saying so."""
    chosen = text.replace("-", "_").lower() or DEFAULT_MODEL_FORMAT
    if chosen in MODEL_FORMATS:
        return chosen
    if chosen in FOREIGN_FORMATS:
        why = f"Models cannot be exported as '{chosen}' by this service; formats: {', '.join(MODEL_FORMATS)}."
    else:
        why = f"Unknown model format '{text[:80]}'; formats: {', '.join(MODEL_FORMATS)}."
    raise errors.invalid_argument(field, why)


def prediction_params(kind: kinds.DatasetKind, params: Mapping[str, str]) -> tuple[float, int | None]:
    """Returns (score_threshold in [0, 1], max_bounding_box_count in [1, 500]); unknown keys are ignored.

    The second is None for a kind of models to which it means nothing.
    """
    known = PREDICT_PARAMS[kind]
    score_threshold = DEFAULT_SCORE_THRESHOLD
    max_boxes = DEFAULT_MAX_BOXES if "max_bounding_box_count" in known else None
    for key, value in params.items():
        if len(value) > MAX_PARAM_CHARS:
            raise errors.invalid_argument(f"params.{key[:80]}", f"It is longer than {MAX_PARAM_CHARS} characters.")
        match spelled(key):
            case "score_threshold":
                score_threshold = number(value, f"params.{key}", float, 0.0, 1.0)
            case "max_bounding_box_count" if max_boxes is not None:
                max_boxes = number(value, f"params.{key}", int, 1, MAX_BOXES)
    return score_threshold, max_boxes


def batch_params(kind: kinds.DatasetKind, params: Mapping[str, str]) -> dict[str, Any]:
    """What the params of a batch prediction choose, by the names of `BatchSpec`'s fields.

    ``image_failure_limit``, [0, 1], ``input_column``, ``input_suffixes`` and what `_result_params` names are there only if
    the params say them, and so is ``only_new``; ``keeps_candidates``, ``validate_only`` and ``reuse`` (`base_choice.choose`)
    are no fields.
    """
    score_threshold, max_boxes = prediction_params(kind, params)
    ignored = [dataclasses.asdict(param) for param in ignored_params(params, BATCH_PARAMS[kind])]
    chosen: dict[str, Any] = {"score_threshold": score_threshold, "max_boxes": max_boxes, "ignored_params": ignored}
    for key, value in params.items():
        match spelled(key):
            case "image_failure_limit":
                chosen["image_failure_limit"] = number(value, f"params.{key}", float, 0.0, 1.0)
            case "input_column":
                chosen["input_column"] = _column(value, f"params.{key}")
            case "input_suffixes":
                chosen["input_suffixes"] = _suffixes(value, f"params.{key}")
            case "reuse":
                chosen["reuse"] = _reuse(value.strip(), f"params.{key}")
            case "only_new" | "validate_only" as name:
                chosen[name] = truth(value, f"params.{key}")
    return chosen | _result_params(kind, params)


def is_reviewed(params: Mapping[str, str]) -> bool:
    """Whether a person has looked at the labels that an import brings; ``reviewed``, by default true."""
    given = next((value for key, value in params.items() if spelled(key) == "reviewed"), "true")
    return truth(given, "input_config.params.reviewed")


def has_wide_box_limits(params: Mapping[str, str]) -> bool:
    """Whether an import takes all boxes that a dataset may have; ``wide_box_limits``, by default false."""
    given = next((value for key, value in params.items() if spelled(key) == "wide_box_limits"), "false")
    return truth(given, "input_config.params.wide_box_limits")


def is_unlabelled(params: Mapping[str, str]) -> bool:
    """Whether an import names folders of images in the place of lists; ``unlabelled``, by default false."""
    given = next((value for key, value in params.items() if spelled(key) == "unlabelled"), "false")
    return truth(given, "input_config.params.unlabelled")


def _reuse(text: str, field: str) -> str:
    """``auto``, ``none``, the id or name of an operation, or the address of a folder of results."""
    if "://" in text:
        try:
            objects.ObjectUri.parse(text.rstrip("/"))
        except objects.BadUri as error:
            raise errors.invalid_argument(field, error.message) from error
    elif not _OPERATION.fullmatch(text):
        why = f"'{text[:MAX_SHOWN_CHARS]}' is neither auto nor none, no operation, and no folder of results."
        raise errors.invalid_argument(field, why)
    return text


def request_id(params: Mapping[str, str]) -> str:
    """The caller's id of a request; empty if it has none."""
    found = next((value.strip() for key, value in params.items() if spelled(key) == "request_id"), "")
    if found and not _REQUEST_ID.fullmatch(found):
        why = f"'{found[:MAX_SHOWN_CHARS]}' must have 1 to 100 letters, digits, '-', '_', '.', ':' or '+'."
        raise errors.invalid_argument("params.request_id", why)
    return found


def _result_params(kind: kinds.DatasetKind, params: Mapping[str, str]) -> dict[str, Any]:
    """The params about results: ``label_thresholds``, ``only_labels``, ``keeps_candidates``, ``formats``, ``report``."""
    chosen: dict[str, Any] = {}
    for key, value in params.items():
        field = f"params.{key[:MAX_SHOWN_CHARS]}"
        if label := _label_of(key):
            thresholds = chosen.setdefault("label_thresholds", {})
            thresholds[label] = number(value, field, float, 0.0, 1.0)
        match spelled(key):
            case "labels":
                chosen["only_labels"] = _words(value, field)
            case "candidates":
                if value.strip() not in ("keep", "none"):
                    raise errors.invalid_argument(field, f"'{value[:MAX_SHOWN_CHARS]}' is neither keep nor none.")
                chosen["keeps_candidates"] = value.strip() == "keep"
            case "report":
                chosen["report"] = truth(value, field)
            case "formats":
                formats = _words(value, field)
                known = ("jsonl", *result_formats.names_for(boxes=kind is kinds.OBJECT_DETECTION))
                if unknown := [name for name in formats if name not in known]:
                    lacks = (
                        "has no place for labels of images"
                        if unknown[0] in result_formats.ALL
                        else "is no format of results"
                    )
                    why = f"'{unknown[0][:MAX_SHOWN_CHARS]}' {lacks}; formats: {', '.join(known)}."
                    raise errors.invalid_argument(field, why)
                chosen["formats"] = [name for name in result_formats.ALL if name in formats]
    return chosen


def truth(text: str, field: str) -> bool:
    """``true`` or ``false``, in any case."""
    if text.strip().lower() not in ("true", "false"):
        raise errors.invalid_argument(field, f"'{text[:MAX_SHOWN_CHARS]}' is neither true nor false.")
    return text.strip().lower() == "true"


def _words(text: str, field: str) -> list[str]:
    """The parts of a text between commas, each once, without blanks around them."""
    words = list(dict.fromkeys(word.strip() for word in text.split(",")))
    if "" in words:
        raise errors.invalid_argument(field, "It is empty between commas; write names with commas between them.")
    return words


def _label_of(key: str) -> str:
    """The display name in a key such as ``score_threshold.cat``; empty if the key has none."""
    name, _, label = key.partition(".")
    return label if f"{spelled(name)}." == LABEL_THRESHOLD else ""


def ignored_params(params: Mapping[str, str], known: Collection[str]) -> list[IgnoredParam]:
    """The keys that mean nothing here, in order of their names, each with the known key that is most like it."""
    found = []
    for key in sorted(params):
        if spelled(key) not in known and not (RESULT_PARAMS[-1] in known and _label_of(key)):
            nearest = difflib.get_close_matches(spelled(key).lower(), sorted(known), 1)
            found.append(IgnoredParam(key[:MAX_SHOWN_CHARS], nearest[0] if nearest else None))
    return found[:MAX_SHOWN_PARAMS]


def _column(text: str, field: str) -> str:
    if not text.strip() or len(text) > MAX_COLUMN_CHARS:
        raise errors.invalid_argument(
            field, f"It must be the name of a column or key, of at most {MAX_COLUMN_CHARS} characters."
        )
    return text.strip()


def _suffixes(text: str, field: str) -> list[str]:
    """Suffixes in small letters with their full stops, in order; ``*`` alone for any name."""
    if text.strip() == image_names.ANY:
        return [image_names.ANY]
    found = [_SUFFIX.fullmatch(part.strip().removeprefix("*")) for part in text.split(",")]
    if not all(found) or len(found) > MAX_SUFFIXES:
        raise errors.invalid_argument(
            field, f"'{text[:80]}' must be suffixes with commas between them, as in '.jpg,.png', or '*' for any name."
        )
    return sorted({f".{one[1].lower()}" for one in found if one})


def spelled(key: str) -> str:
    """A key in snake_case; ``scoreThreshold`` and ``score-threshold`` are accepted spellings."""
    return _HUMP.sub(lambda found: f"{found[1]}_{found[2].lower()}", key).replace("-", "_")


def number(text: str, field: str, kind: type[_N], least: _N, most: _N) -> _N:
    """A number of a param, from `least` to `most`."""
    expected = "a whole number" if kind is int else "a number"
    try:
        value = kind(text.strip())
    except ValueError:
        raise errors.invalid_argument(field, f"'{text[:80]}' is not {expected} from {least} to {most}.") from None
    if not least <= value <= most:  # also refuses NaN
        raise errors.invalid_argument(field, f"{text[:80]} is not {expected} from {least} to {most}.")
    return value


def _uri(text: str, field: str, schemes: Sequence[str], *, directory: bool = False) -> objects.ObjectUri:
    try:
        return objects.caller_uri(text, schemes, directory=directory)
    except objects.BadUri as error:
        raise errors.invalid_argument(field, error.message) from error

"""What an operation was asked to do, read from the request that its row keeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from google.cloud.automl_v1 import types

from boxwright import errors, kinds, states
from boxwright.services import added_results, job_params, model_imports, validation

MAX_SHOWN_LISTS = 20
Kind = states.OperationKind


def facts(row: sa.Row[Any]) -> dict[str, Any]:
    """The request of an operation in a few entries, for readers of its progress.

    A batch prediction has ``model``, ``input_uris`` (the first twenty) and their number, ``output_uri_prefix``,
    ``score_threshold``, ``max_bounding_box_count`` if the model is a detector, and ``score_thresholds`` by label,
    ``labels``, ``formats``, ``report``, ``image_failure_limit``, ``reuse``, ``only_new``, ``priority`` and ``deadline_s`` if
    the request has them. An import has ``reviewed`` if that is false, and that
    of folders ``unlabelled``, ``input_uris`` and their number. Every kind with params has ``ignored_params`` if there
    are any: ``{"key", "nearest"}`` each.
    """
    match row.kind:
        case Kind.BATCH_PREDICT:
            return _batch(types.BatchPredictRequest.deserialize(row.request))
        case Kind.IMPORT_DATA:
            asked = types.ImportDataRequest.deserialize(row.request)
            if added_results.of_import(asked) is not None:
                return added_results.facts(asked.input_config.params)
            return _import(asked.input_config)
        case Kind.IMPORT_MODEL:
            config = types.ImportDataRequest.deserialize(row.request).input_config
            lists = list(config.gcs_source.input_uris)
            return {"input_uris": lists[:MAX_SHOWN_LISTS]} | _ignored(config.params, model_imports.PARAMS)
        case Kind.EXPORT_MODEL:
            return _ignored(types.ExportModelRequest.deserialize(row.request).output_config.params, ())
    return {}


def _import(config: types.InputConfig) -> dict[str, Any]:
    params = config.params
    try:
        found: dict[str, Any] = {} if validation.is_reviewed(params) else {"reviewed": False}
        found |= {"wide_box_limits": True} if validation.has_wide_box_limits(params) else {}
        if validation.is_unlabelled(params):
            lists = list(config.gcs_source.input_uris)
            found |= {"unlabelled": True, "input_uris": lists[:MAX_SHOWN_LISTS], "input_uri_count": len(lists)}
    except errors.ApiError:  # an older version took it for unknown
        found = {}
    return found | _ignored(params, validation.IMPORT_PARAMS)


def _batch(request: types.BatchPredictRequest) -> dict[str, Any]:
    lists = list(request.input_config.gcs_source.input_uris)
    kind = kinds.of_name(request.name)
    found: dict[str, Any] = {
        "model": request.name,
        "input_uris": lists[:MAX_SHOWN_LISTS],
        "input_uri_count": len(lists),
        "output_uri_prefix": request.output_config.gcs_destination.output_uri_prefix,
    }
    try:
        chosen = validation.batch_params(kind, request.params)
    except errors.ApiError:  # an older version took them
        return found
    found["score_threshold"] = chosen["score_threshold"]
    if chosen["max_boxes"] is not None:
        found["max_bounding_box_count"] = chosen["max_boxes"]
    for key, name in (("label_thresholds", "score_thresholds"), ("only_labels", "labels"), ("formats", "formats")):
        if chosen.get(key):
            found[name] = chosen[key]
    found |= {key: chosen[key] for key in ("report", "image_failure_limit", "reuse", "only_new") if key in chosen}
    terms = job_params.terms(request.params)
    if terms.priority != states.Priority.NORMAL:
        found["priority"] = str(terms.priority)
    if terms.deadline_s is not None:
        found["deadline_s"] = terms.deadline_s
    return found | _ignored(request.params, validation.BATCH_PARAMS[kind])


def _ignored(params: Mapping[str, str], known: tuple[str, ...]) -> dict[str, Any]:
    ignored = validation.ignored_params(params, known)
    return {"ignored_params": [dataclasses.asdict(param) for param in ignored]} if ignored else {}

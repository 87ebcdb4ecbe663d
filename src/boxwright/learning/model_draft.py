"""A model folder that is being made: nobody reads it before it has its name.

write(folder, graph, labels, document)      model.json, model.onnx
write_choice(draft, section, int8_file)     which precision predicts
publish(draft, target, evaluation)          evaluation.json, and the name
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from boxwright import private
from boxwright.inference import model_folder

MODEL_FOLDER = "model"
DRAFT_FOLDER = "model.draft"
EVALUATION_FILE = "evaluation.json"


def write(
    folder: pathlib.Path, graph: bytes, labels: Sequence[Mapping[str, str]], document: dict[str, Any], notice: str = ""
) -> None:
    """Writes model.json and model.onnx, and a notice if there is one, into a fresh folder that nobody reads yet.

    Args:
        folder: where to; what lies there goes.
        graph: the network, ONNX.
        labels: display_name and annotation_spec_id of each, in the order of the network's classes.
        document: what model.json says besides them.
        notice: what must be passed on with the model.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    whole = {
        "format_version": model_folder.FORMAT_VERSION,
        "labels": [
            {"display_name": one["display_name"], "annotation_spec_id": one["annotation_spec_id"]} for one in labels
        ],
        **document,
        "digests": {model_folder.NETWORK_FILE: hashlib.sha256(graph).hexdigest()},
    }
    if notice:
        _write(folder / model_folder.NOTICE_FILE, notice.encode())
    _write(folder / model_folder.NETWORK_FILE, graph)
    _write_document(folder, whole)


def write_choice(draft: pathlib.Path, quantisation: dict[str, Any], int8_file: str) -> None:
    """Writes into a draft which precision predicts: `quantisation["chosen"]`; an int8 network that is not chosen goes.

    Args:
        draft: from `write`; the int8 network, if there is one, lies in it as XML with its weights beside it.
        quantisation: the section of model.json, whole.
        int8_file: name of the XML.
    """
    document = json.loads((draft / model_folder.MODEL_FILE).read_text(encoding="utf-8"))
    networks = {"fp32": model_folder.NETWORK_FILE}
    digests = {model_folder.NETWORK_FILE: document["digests"][model_folder.NETWORK_FILE]}
    for path in (draft / int8_file, (draft / int8_file).with_suffix(".bin")):
        if quantisation["chosen"] == "int8":
            networks["int8"] = int8_file
            digests[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            path.unlink(missing_ok=True)
    document.update(networks=networks, precision=quantisation["chosen"], quantisation=quantisation, digests=digests)
    _write_document(draft, document)


def publish(draft: pathlib.Path, target: pathlib.Path, evaluation: dict[str, Any]) -> None:
    """Adds the evaluation and gives the folder its final name, once."""
    _write(draft / EVALUATION_FILE, (json.dumps(evaluation, ensure_ascii=False) + "\n").encode())
    private.sync_folder(draft)
    draft.rename(target)
    private.sync_folder(target.parent)


def _write_document(folder: pathlib.Path, document: dict[str, Any]) -> None:
    _write(folder / model_folder.MODEL_FILE, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())


def _write(path: pathlib.Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())

"""What a network answers to frames that are made up: noise, grey, and an image if there is one.

The network runs as it will run for its model, on one image and one thread, so that what cannot run here is never a model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from boxwright.adapters import adapter_graph
from boxwright.adapters.source import Refused, Source
from boxwright.inference.openvino_runtime import load_openvino, read_model

GREY = 114
SMOOTH_PX = 16  # edge of the noise's squares: networks see something in them
MAX_ANSWER_VALUES = 50_000_000  # of one output


def frames(hw: tuple[int, int], image: npt.NDArray[np.uint8] | None = None) -> list[npt.NDArray[np.uint8]]:
    """The frames, (1, H, W, 3) each: fine noise, coarse noise, grey, and the image's frame if there is one."""
    random = np.random.default_rng(0)
    fine = random.integers(0, 256, (1, *hw, 3), np.uint8)
    squares = random.integers(0, 256, (1, *(-(-side // SMOOTH_PX) for side in hw), 3), np.uint8)
    coarse = squares.repeat(SMOOTH_PX, axis=1).repeat(SMOOTH_PX, axis=2)[:, : hw[0], : hw[1]]
    made = [fine, np.ascontiguousarray(coarse), np.full((1, *hw, 3), GREY, np.uint8)]
    return made if image is None else [*made, image]


def answers(
    source: Source, input_name: str, hw: tuple[int, int], shown: list[npt.NDArray[np.uint8]]
) -> dict[str, list[npt.NDArray[np.float32]]]:
    """The network's outputs by name, without a ``:0``, an array for each frame.

    Raises:
        Refused: the network does not run.
    """
    openvino = load_openvino()
    content = adapter_graph.open_outputs(source, input_name, hw)
    try:
        compiled = openvino.Core().compile_model(
            read_model(openvino.Core(), content),
            "CPU",
            {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": "1"},
        )
        request = compiled.create_infer_request()
        found: dict[str, list[Any]] = {one.name.removesuffix(":0"): [] for one in source.outputs}
        for frame in shown:
            request.infer([frame])
            for place, name in enumerate(found):
                answer = request.get_output_tensor(place).data
                if answer.size > MAX_ANSWER_VALUES:
                    raise Refused(
                        f"The output {name[:80]} has {answer.size} values; at most {MAX_ANSWER_VALUES} are taken."
                    )
                found[name].append(np.array(answer, np.float32))
    except RuntimeError as error:
        raise Refused(
            f"The network does not run at {hw[1]} x {hw[0]} pixels in OpenVINO {openvino.__version__.partition('-')[0]}: "
            f"{reason(error)} Export it again with another opset, or without operators that are not for every runtime."
        ) from None
    return found


def reason(error: BaseException) -> str:
    """The sentence of OpenVINO's words that says most, without places in its source."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(("Exception from", "Check '", "While", "----"))]
    return (told[-1] if told else type(error).__name__)[:300].rstrip(".") + "."

"""COCO's labels, and which of them a user's label means.

    row_of("Traffic_Lights") -> 9

Case, blanks, hyphens and underscores do not count, nor does the plural. Other words for a label are those of data sets
that name the same things: Pascal VOC's labels (Everingham et al., 2010), the synonyms that LVIS lists for its categories
(Gupta et al., 2019), and Open Images' class names (Kuznetsova et al., 2020).
"""

from __future__ import annotations

from collections.abc import Iterator

# In the order of the network's outputs: the categories of COCO 2017 by their ids.
LABELS = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich",
    "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed",
    "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven",
    "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
SYNONYMS = {
    "person": "people human pedestrian man men woman women child children boy girl",
    "bicycle": "bike cycle pushbike",
    "car": "automobile auto motorcar",
    "motorcycle": "motorbike",
    "airplane": "aeroplane aircraft plane jet",
    "bus": "autobus motorbus",
    "train": "locomotive",
    "truck": "lorry",
    "boat": "ship watercraft",
    "traffic light": "trafficsignal stoplight",
    "fire hydrant": "hydrant fireplug",
    "cat": "kitten kitty",
    "dog": "puppy",
    "horse": "pony",
    "sheep": "lamb",
    "cow": "cattle",
    "backpack": "knapsack rucksack packsack",
    "handbag": "purse",
    "tie": "necktie",
    "suitcase": "luggage",
    "skis": "ski",
    "sports ball": "ball football soccerball basketball volleyball tennisball",
    "tennis racket": "racket",
    "wine glass": "wineglass",
    "cup": "mug coffeecup",
    "donut": "doughnut",
    "couch": "sofa lounge",
    "potted plant": "houseplant flowerpot",
    "dining table": "table diningtable",
    "tv": "television televisionset tvset tvmonitor",
    "laptop": "laptopcomputer notebookcomputer",
    "mouse": "computermouse",
    "remote": "remotecontrol",
    "keyboard": "computerkeyboard",
    "cell phone": "cellphone mobilephone cellulartelephone smartphone phone telephone",
    "microwave": "microwaveoven",
    "refrigerator": "fridge",
    "clock": "wallclock",
    "teddy bear": "teddy",
    "hair drier": "hairdryer blowdryer",
}


def _key(name: str) -> str:
    """What is left of a name without case, blanks and marks."""
    return "".join(character for character in name.casefold() if character.isalnum())


_ROWS = {_key(label): row for row, label in enumerate(LABELS)}
_ROWS |= {_key(word): _ROWS[_key(label)] for label, words in SYNONYMS.items() for word in words.split()}


def _singulars(key: str) -> Iterator[str]:
    """The word itself, and what it may be the plural of."""
    yield key
    for ending, instead in (("s", ""), ("es", ""), ("ies", "y"), ("ves", "fe")):
        if key.endswith(ending):
            yield key.removesuffix(ending) + instead


def row_of(name: str) -> int | None:
    """The row of COCO's label that a label's name means; None if it means none."""
    return next((_ROWS[key] for key in _singulars(_key(name)) if key in _ROWS), None)

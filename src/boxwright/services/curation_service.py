"""The Curation service: the methods about examples, pictures and what else there is, as one object for the API servers."""

from __future__ import annotations

from typing import Any

from boxwright.services.evaluations import EvaluationMethods
from boxwright.services.example_pictures import PictureMethods
from boxwright.services.image_pictures import ImagePictures
from boxwright.services.outcome_cache import OutcomeCache
from boxwright.services.result_methods import ResultMethods, ResultViews
from boxwright.services.suggested_annotations import SuggestionMethods
from boxwright.services.uploads import UploadFolder, UploadMethods


class CurationService(UploadMethods, PictureMethods, EvaluationMethods, SuggestionMethods, ResultMethods):
    """`boxwright.v1.Curation`.

    Args:
        ground: as of `Resources`.
        pictures: makes pictures of images.
        uploads: where images are kept that are sent.
        judged: the evaluations of models.
        more: as of `Resources`, by name.
    """

    def __init__(
        self, *ground: Any, pictures: ImagePictures, uploads: UploadFolder, judged: OutcomeCache, **more: Any
    ) -> None:
        super().__init__(*ground, **more)
        self._pictures = pictures
        self._decoding = pictures.builder
        self._uploads = uploads
        self._judged = judged
        self._views = ResultViews()

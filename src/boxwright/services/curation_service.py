"""The Curation service: the methods about examples, pictures and what else there is, as one object for the API servers."""

from __future__ import annotations

from typing import Any

from boxwright.services.curation import CurationMethods
from boxwright.services.example_pictures import PictureMethods
from boxwright.services.image_pictures import ImagePictures
from boxwright.services.result_methods import ResultMethods, ResultViews


class CurationService(CurationMethods, PictureMethods, ResultMethods):
    """`boxwright.v1.Curation`.

    Args:
        ground: as of `Resources`.
        pictures: makes pictures of images.
        more: as of `Resources`, by name.
    """

    def __init__(self, *ground: Any, pictures: ImagePictures, **more: Any) -> None:
        super().__init__(*ground, **more)
        self._pictures = pictures
        self._views = ResultViews()

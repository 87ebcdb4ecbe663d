"""The pictures of a dataset's examples."""

from __future__ import annotations

from google.api import httpbody_pb2

from boxwright import curation_messages as pb
from boxwright import errors, names
from boxwright.callers import Caller
from boxwright.metadata import examples
from boxwright.services.image_pictures import ImagePictures, picture_request
from boxwright.services.resources import Resources


class PictureMethods(Resources):
    """The methods about pictures of examples."""

    _pictures: ImagePictures

    def get_example_image(self, request: pb.GetExampleImageRequest, caller: Caller) -> httpbody_pb2.HttpBody:
        """Returns an example's picture: upright, sRGB, as a JPEG, never enlarged.

        Who may read a dataset's examples may see their pictures; a grant of the bucket is not needed. The import has judged
        whether its caller may read the images. Only the bytes that were imported are shown.
        """
        name = self._named(names.ExampleName, request.name, "name")
        wanted = picture_request(request.edge_px, request.region)
        dataset = name.parent.dataset(name.dataset)
        with self._db.read() as connection:
            self._dataset(connection, dataset, f"Dataset {dataset} was not found.")
            row = examples.find(connection, name.dataset, name.example)
        if row is None:
            raise errors.not_found(f"Example {name} was not found.")
        return self._pictures.of_content(row.uri, row.sha256, wanted, project=name.project)

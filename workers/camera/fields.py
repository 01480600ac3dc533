"""What a camera reports, by kind."""

from __future__ import annotations

FIELDS: dict[str, dict[str, type[float] | type[int] | type[str]]] = {
    "camera": {
        "luminosity": float,
        "sharpness": float,
        "laser_x_px": float,
        "laser_y_px": float,
        "laser_area_px": float,
        "faces": int,
        "fps": float,
        "width_px": int,
        "height_px": int,
    },
    "face": {
        "track": int,
        "event": str,
        "x_px": float,
        "y_px": float,
        "width_px": float,
        "height_px": float,
        "score": float,
        "age_s": float,
    },
}

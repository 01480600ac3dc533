"""The options of an HC-SR04 behind Bluetooth Low Energy: what stands in its section of the configuration."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from workers.buses import ble
from workers.hcsr04 import decode

_DEVICE = (
    "Bluetooth address (AA:BB:CC:DD:EE:FF) or, where that changes, the advertised name. "
    'Or "virtual": a simulated sensor, with faults as in "virtual?no_echo=0.1&seed=3".'
)
_FORMAT = (
    'How distances are written: "nordic-uart" and "hm10" as lines of text on a serial line, "text" as one line in each notification, '
    '"u16-mm", "u16-cm" and "f32-m" as a little-endian number, "obs8" as OpenBikeSensor does (the left sensor), '
    '"sig-length" as the Bluetooth SIG defines it, "custom" as `layout` and `scale_m` say.'
)
_CHARACTERISTIC = "UUID of the characteristic that notifies, in full or its four digits; without it the one that goes with the format."
_LAYOUT = 'For "custom": where in the notification the number stands, as in Python\'s struct, x being a byte to skip ("<4xH").'
_INVALID = "Numbers that the peripheral sends for want of an echo, as they are sent; beside those that the format has."
_TEMPERATURE = "Air temperature in °C, to correct distances that the peripheral works out as µs / 58. Without it nothing is corrected."
_RATE = "Readings a second that are to be expected: when five of them are missing, and for 3 s at least, the link is given up."
_BATTERY = (
    "UUID of a characteristic that holds the battery's voltage, read once a minute: 2B18 in 1/64 V, any other in mV. "
    "2A19 is a percentage and will not do."
)
_UUID = r"^(|[0-9A-Fa-f]{4}|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})$"
_STRUCT = r"^([<>]?(\d{0,2}x)*[bBhHiIlLqQefd](\d{0,2}x)*)?$"

Word = Literal["nordic-uart", "hm10", "text", "u16-mm", "u16-cm", "f32-m", "obs8", "sig-length", "custom"]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to find the peripheral, and how it writes what it measures."""

    device: Annotated[str, Meta(min_length=1, description=_DEVICE, examples=["AA:BB:CC:DD:EE:FF", "virtual", "virtual?no_echo=0.1"])]
    adapter: Annotated[str, Meta(min_length=1, description="Which Bluetooth adapter, as `hciconfig` names it.")] = "hci0"
    format: Annotated[Word, Meta(description=_FORMAT)] = "nordic-uart"
    characteristic: Annotated[str, Meta(pattern=_UUID, description=_CHARACTERISTIC)] = ""
    unit: Annotated[Literal["mm", "cm", "m", "in"], Meta(description="For text: the unit of numbers that carry none.")] = "cm"
    layout: Annotated[str, Meta(pattern=_STRUCT, description=_LAYOUT)] = ""
    scale_m: Annotated[float, Meta(gt=0, le=1000, description='For "custom": what one unit is, in metres.')] = 0.01
    invalid: Annotated[tuple[float, ...], Meta(max_length=16, description=_INVALID)] = ()
    minimum_m: Annotated[float, Meta(ge=0, le=10, description="Nearer is uncertain, in m.")] = 0.02
    maximum_m: Annotated[float, Meta(gt=0, le=10, description="Farther is uncertain, in m.")] = 4.0
    temperature_degC: Annotated[float, Meta(ge=-40, le=85, description=_TEMPERATURE)] | None = None
    rate_hz: Annotated[float, Meta(ge=0.01, le=100, description=_RATE)] = 10.0
    battery: Annotated[str, Meta(pattern=_UUID, description=_BATTERY)] = ""

    def __post_init__(self) -> None:
        if (self.format == "custom") != bool(self.layout):
            raise ValueError('format "custom" and a layout need each other')
        if ble.short_uuid(ble.full_uuid(self.battery)) == "2a19":
            raise ValueError("2A19 is the battery's charge in percent, which says nothing of its voltage")

    def form(self) -> decode.Format:
        """The format, as the other options have changed it."""
        form = decode.FORMATS[self.format]
        text = not (form.layout or self.layout)
        return msgspec.structs.replace(
            form,
            characteristic=ble.full_uuid(self.characteristic or form.characteristic),
            layout=self.layout or form.layout,
            scale_m=decode.UNITS_m[self.unit] if text else self.scale_m if self.layout else form.scale_m,
            invalid=form.invalid + self.invalid,
        )

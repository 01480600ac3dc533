"""Looking for cameras: USB ones as udev and sysfs show them, ribbon cables as a fake rpicam-hello lists them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgegw.errors import DeviceError
from workers.camera import opening
from workers.finding import camera
from workers.virtual import rpicamvid

# As rpicam-apps print it, with the log lines of libcamera around it; the third is a USB camera, which libcamera lists, too.
LIST = """\
[0:08:40.093741943] [1781]  INFO Camera camera_manager.cpp:293 libcamera v0.5.0
Available cameras
-----------------
0 : imx477 [4056x3040 12-bit RGGB] (/base/axi/pcie@1000120000/rp1/i2c@88000/imx477@1a)
    Modes: 'SRGGB10_CSI2P' : 1332x990 [120.05 fps - (696, 528)/2664x1980 crop]
           'SRGGB12_CSI2P' : 2028x1080 [50.03 fps - (0, 440)/4056x2160 crop]
                             4056x3040 [10.00 fps - (0, 0)/4056x3040 crop]

1 : imx219 [3280x2464] (/base/soc/i2c0mux/i2c@1/imx219@10)
    Modes: 'SBGGR10_CSI2P' : 640x480 1640x1232 1920x1080 3280x2464
2 : H264 USB Camera: USB Camera [1920x1080] (/base/soc/usb@7e980000/usb1@1-1.2:1.0-32e4:9422)
    Modes: 'MJPEG' : 320x240 1920x1080
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is all there is on PATH; what lies there as rpicam-hello is what is asked."""
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setenv("PATH", str(place))
    return place


def put(place: Path, script: str, name: str = "rpicam-hello") -> None:
    """A program of that name."""
    (place / name).write_text(f"#!/bin/sh\n{script}\n")
    (place / name).chmod(0o755)


def webcam(root: Path, node: str, index: int, link: str = "") -> None:
    """A node of a USB camera."""
    device = root / "sys/devices/usb/1-1"
    entry = root / "sys/class/video4linux" / node
    for directory in (device / "1-1:1.0", entry, root / "dev/v4l/by-id"):
        directory.mkdir(parents=True, exist_ok=True)
    (device / "idVendor").write_text("046d\n")
    (device / "idProduct").write_text("082d\n")
    (entry / "name").write_text("HD Pro Webcam C920\n")
    (entry / "index").write_text(f"{index}\n")
    (entry / "device").symlink_to(os.path.relpath(device / "1-1:1.0", entry))
    (root / "dev" / node).touch()
    if link:
        (root / "dev/v4l/by-id" / link).symlink_to(f"../../{node}")


def test_webcam_once_by_its_lasting_name(program: Path, tmp_path: Path) -> None:
    """The node that gives pictures, under its by-id name; the one for metadata is not a second camera."""
    webcam(tmp_path, "video0", 0, "usb-046d_C920-video-index0")
    webcam(tmp_path, "video1", 1, "usb-046d_C920-video-index1")
    (found,) = camera.find(1, tmp_path)
    assert (found.what, found.detail) == ("HD Pro Webcam C920", "/dev/video0, USB 046d:082d")
    assert (found.driver, found.options) == ("camera", {"source": "/dev/v4l/by-id/usb-046d_C920-video-index0"})


def test_webcam_without_udev(program: Path, tmp_path: Path) -> None:
    """Without a link the node itself has to do."""
    webcam(tmp_path, "video0", 0)
    assert [found.where for found in camera.find(1, tmp_path)] == ["/dev/video0"]


def test_nodes_of_the_board_are_no_cameras(program: Path, tmp_path: Path) -> None:
    """The codecs and image processors of a Raspberry Pi are video nodes, too, but hang on no USB."""
    (tmp_path / "sys/class/video4linux/video10").mkdir(parents=True)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/video10").touch()
    assert list(camera.find(1, tmp_path)) == []


@pytest.mark.parametrize("stream", ["", " >&2"])
def test_ribbon_cables_are_listed(program: Path, tmp_path: Path, stream: str) -> None:
    """Model, size and place of each, whichever stream the list is on; the USB camera is not found a second time."""
    put(program, f"echo \"{LIST}\"{stream}")
    found = list(camera.find(5, tmp_path))
    assert [(each.where, each.what, each.driver) for each in found] == [
        ("rpicam", "imx477", "camera"),
        ("rpicam:1", "imx219", "camera"),
    ]
    assert found[0].detail == "4056x3040 12-bit RGGB, /base/axi/pcie@1000120000/rp1/i2c@88000/imx477@1a"
    assert [each.options for each in found] == [{"source": "rpicam"}, {"source": "rpicam:1"}]


def test_what_is_listed_can_be_opened() -> None:
    """Each source that is proposed is one that the driver takes for a ribbon camera; the list is the one of the stand-in as well."""
    for found in [*camera.listed(LIST), *camera.listed(rpicamvid.LIST)]:
        assert opening.on_ribbon(str(found.options["source"]))


def test_older_name_of_the_program(program: Path, tmp_path: Path) -> None:
    """libcamera-hello is asked where there is no rpicam-hello."""
    put(program, f"echo \"{LIST}\"", "libcamera-hello")
    assert len(list(camera.find(5, tmp_path))) == 2


@pytest.mark.parametrize("code", [0, 255])
def test_no_cameras(program: Path, tmp_path: Path, code: int) -> None:
    """"No cameras available!" is no trouble, whatever exit code comes with it."""
    put(program, f'echo "No cameras available!"; exit {code}')
    assert list(camera.find(5, tmp_path)) == []


def test_program_that_fails(program: Path, tmp_path: Path) -> None:
    """Its exit code and its last words; USB cameras are found before."""
    webcam(tmp_path, "video0", 0)
    put(program, "echo 'INFO something' >&2; echo 'ERROR: *** failed to open media device ***' >&2; exit 255")
    finding = camera.find(5, tmp_path)
    assert next(finding).where == "/dev/video0"
    with pytest.raises(DeviceError, match=r"exit code 255: ERROR: .*failed to open media device"):
        next(finding)


def test_program_that_hangs(program: Path, tmp_path: Path) -> None:
    """It is ended after its time, and that is said."""
    put(program, "while :; do :; done")
    with pytest.raises(DeviceError, match="does not answer within"):
        list(camera.find(0.2, tmp_path))

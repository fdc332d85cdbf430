import re
import sys
from pathlib import Path

import numpy as np
import pytest
import tomli

from distrl.errors import ConfigError
from distrl.evaluation import video
from distrl.evaluation.video import INSTALL, check_video, open_video

ROOT = Path(__file__).parents[2]
# Even sizes that are no multiples of 16, which must not be scaled.
IMAGES = [np.full((38, 54, 3), 10 * i, np.uint8) for i in range(12)]


def write(file, rate=20.0):
    with open_video(file, rate) as take:
        for image in IMAGES:
            take(image)


def test_gif_shows_each_image_for_its_duration(tmp_path):
    image = pytest.importorskip("PIL.Image")
    write(tmp_path / "a.gif")
    with image.open(tmp_path / "a.gif") as shown:
        assert shown.size == (54, 38)
        durations = []
        for index in range(shown.n_frames):
            shown.seek(index)
            durations.append(shown.info["duration"])
    assert durations == [50] * 12


def test_gif_drops_images_beyond_the_limit(tmp_path, monkeypatch):
    image = pytest.importorskip("PIL.Image")
    monkeypatch.setattr(video, "GIF_IMAGES", 5)
    write(tmp_path / "a.gif")
    with image.open(tmp_path / "a.gif") as shown:
        assert shown.n_frames == 5


def test_interrupted_video_keeps_the_old_file(tmp_path):
    pytest.importorskip("imageio")
    file = tmp_path / "a.gif"
    file.write_text("the one before")
    with pytest.raises(ZeroDivisionError), open_video(file, 20.0) as take:
        take(IMAGES[0])
        raise ZeroDivisionError
    assert file.read_text() == "the one before"
    assert list(tmp_path.iterdir()) == [file]


def test_missing_directory_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="there is no directory"):
        check_video(tmp_path / "no" / "a.gif")


@pytest.mark.parametrize(
    ("missing", "name"), [("imageio.v2", "a.gif"), ("imageio_ffmpeg", "a.mp4")]
)
def test_missing_package_error_has_the_install_command(
    tmp_path, monkeypatch, missing, name
):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigError) as caught:
        check_video(tmp_path / name)
    assert str(caught.value).endswith(f"install it with: {INSTALL}")


def test_install_command_matches_the_video_extra():
    project = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert re.findall("'(.*?)'", INSTALL) == project["optional-dependencies"]["video"]

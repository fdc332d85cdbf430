"""Writing a video of one episode, frame by frame."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from distrl.errors import ConfigError

SUFFIXES = (".gif", ".mp4")
INSTALL = "pip install 'imageio[ffmpeg]>=2.38' 'pillow>=12'"
"""The command that installs the extra `video`; `make` in a checkout includes it."""

GIF_IMAGES = 1_000
"""The most frames of a .gif, which is held in memory until it is written."""


def check_video(file: Path) -> None:
    """Raises ConfigError if `open_video` cannot write to a file."""
    if file.suffix not in SUFFIXES:
        raise ConfigError(
            f"--video {file}: the file has to end in {' or '.join(SUFFIXES)}"
        )
    if not file.parent.is_dir():
        raise ConfigError(f"--video {file}: there is no directory {file.parent}")
    _import_imageio(file)


@contextlib.contextmanager
def open_video(file: Path, frames_a_second: float) -> Iterator[Any]:
    """Yields a function that takes frames; the file appears only on success.

    A .gif drops frames after the first `GIF_IMAGES`.
    """
    imageio = _import_imageio(file)
    partial = file.with_name(f".partial-{file.name}")
    # H.264 needs even heights and widths.
    options = {"fps": frames_a_second, "macro_block_size": 2}
    if file.suffix == ".gif":
        options = {"duration": 1_000 / frames_a_second}
    numbers = itertools.count()
    try:
        with imageio.get_writer(partial, **options) as writer:

            def take(image: np.ndarray) -> None:
                if file.suffix != ".gif" or next(numbers) < GIF_IMAGES:
                    writer.append_data(image)

            yield take
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)


def _import_imageio(file: Path) -> Any:
    try:
        import imageio.v2 as imageio

        if file.suffix == ".mp4":
            import imageio_ffmpeg  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"--video {file}: the package {error.name} is not installed; install it "
            f"with: {INSTALL}"
        ) from error
    return imageio

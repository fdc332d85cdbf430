"""The state of a process that distrl relies on, however it was started."""

import atexit
import os
import shutil
import signal
import sys
import tempfile
import threading

from distrl.errors import ConfigError


def settle() -> None:
    """Prepares standard streams, home and search paths for distrl and its children."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise ConfigError(
            "the working directory has been deleted; change to one that exists, and "
            "start again"
        ) from None
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
        # If ignored, as may be inherited, the exit codes of children are lost.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _open_streams()
    _find_home()
    if paths := os.environ.get("PYTHONPATH"):
        absolute = map(os.path.abspath, paths.split(os.pathsep))
        os.environ["PYTHONPATH"] = os.pathsep.join(absolute)


def _open_streams() -> None:
    """Opens closed standard streams, as later files would receive what is printed."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # `open` returns the lowest free number, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115


def _find_home() -> None:
    """Gives a user without a home a temporary one; libraries would create `./~`."""
    if os.path.isabs(os.path.expanduser("~")):
        return
    home = tempfile.mkdtemp(prefix="distrl-home-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ["HOME"] = home

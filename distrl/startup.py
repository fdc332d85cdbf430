"""What makes it not matter where and how distrl was started."""

import atexit
import os
import shutil
import signal
import sys
import tempfile
import threading

from distrl.errors import ConfigError


def settle() -> None:
    """Gives this process, and those it will start, what each may rely on.

    These are a working directory, open standard streams, a home directory, and search
    paths that mean the same in any directory.

    Raises:
      ConfigError: the working directory has been deleted.
    """
    try:
        os.getcwd()
    except FileNotFoundError:
        raise ConfigError(
            "the working directory has been deleted; change to one that exists, and "
            "start again"
        ) from None
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
        # It may be inherited, and then nobody learns how a child process ended.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _open_streams()
    _find_home()
    if paths := os.environ.get("PYTHONPATH"):
        absolute = map(os.path.abspath, paths.split(os.pathsep))
        os.environ["PYTHONPATH"] = os.pathsep.join(absolute)


def _open_streams() -> None:
    """Opens what is closed of stdin, stdout and stderr, before other files are there.

    A file or socket that took such a number would get what is printed.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is the one that is missing.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115


def _find_home() -> None:
    """Gives a user without a home directory one until this process ends.

    Libraries would take `~` for the name of a directory here.
    """
    if os.path.isabs(os.path.expanduser("~")):
        return
    home = tempfile.mkdtemp(prefix="distrl-home-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ["HOME"] = home

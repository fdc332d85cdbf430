"""Checks in a process of their own, which may start what its parent must not."""

import os
import pickle
import select
import sys
import traceback
from collections.abc import Callable
from typing import Any

from distrl.children import die_with_parent
from distrl.errors import ConfigError
from distrl.launch.channel import Channel


def check_in_child(channel: Channel, check: Callable[[], Any]) -> Any:
    """Runs `check` in a fork, so that this process starts no JAX back end.

    Raises:
      ConfigError: `check` raised one.
      RuntimeError: `check` failed in another way.
    """
    reader, writer = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            die_with_parent(parent)
            os.close(reader)
            answer: tuple[str, Any]
            try:
                answer = ("value", check())
            except ConfigError as error:
                answer = ("refused", str(error))
            except Exception:
                answer = ("failed", traceback.format_exc())
            with os.fdopen(writer, "wb") as file:
                pickle.dump(answer, file)
        finally:
            sys.stderr.flush()
            os._exit(0)
    os.close(writer)
    select.select([reader, channel], [], [])
    with os.fdopen(reader, "rb") as file:
        data = b"" if _closed(channel) else file.read()
    os.waitpid(child, 0)
    if not data:
        raise RuntimeError("the check of environment and network did not end")
    kind, value = pickle.loads(data)
    if kind == "refused":
        raise ConfigError(value)
    if kind == "failed":
        raise RuntimeError(f"the check of environment and network failed:\n{value}")
    return value


def _closed(channel: Channel) -> bool:
    """Whether the front has ended; it sends nothing while a check runs."""
    if not select.select([channel], [], [], 0)[0]:
        return False
    os._exit(1)

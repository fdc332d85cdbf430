"""Environments that take their process with them, or never return."""

import os
import sys
import threading

from environments.nonconforming_environments import Sound


class ExitsInInit(Sound):
    """Gives up when it is built."""

    def __init__(self, *args, **kwargs):
        sys.exit("no ROM")


class CrashesInInit(Sound):
    """Dies of a bug in C when it is built."""

    def __init__(self, *args, **kwargs):
        os.kill(os.getpid(), 11)


class ExitsInStep(Sound):
    """Leaves at its fifth step, as on a closed window."""

    taken = 0

    def step(self, action):
        self.taken += 1
        if self.taken == 5:
            sys.exit(3)
        return super().step(action)


class CrashesInStep(Sound):
    """Dies of an assertion in C at its first step."""

    def step(self, action):
        os.abort()


class CrashesInReset(Sound):
    """Ends its process without a word."""

    def reset(self):
        os._exit(7)


class HangsInStep(Sound):
    """Waits for an answer that never comes."""

    def step(self, action):
        threading.Event().wait()

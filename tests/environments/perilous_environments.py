"""Environments that raise, hang, or end the process that steps them."""

import os
import signal
import time

import dm_env
from scripted_environments import Scripted

AT = 3
"""The step that goes wrong, from 1."""


class Perilous(Scripted):
    """Plays episodes of two steps; a subclass misbehaves in the step AT."""

    def __init__(self, seed: int = 0):
        super().__init__([[(1.0, 1.0), (2.0, 0.0)]])
        self._taken = 0

    def step(self, action: int) -> dm_env.TimeStep:
        self._taken += 1
        if self._taken == AT:
            self.act()
        return super().step(action)

    def act(self) -> None:
        return


class Crashing(Perilous):
    def act(self) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)


class Leaving(Perilous):
    def act(self) -> None:
        os._exit(7)


class Killed(Perilous):
    """Dies like a process that the kernel kills when memory runs out."""

    def act(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Orphaning(Perilous):
    """Exits, but leaves a child that keeps its files and pipes open."""

    def act(self) -> None:
        if os.fork() == 0:
            signal.alarm(60)
            signal.pause()
            os._exit(0)
        os._exit(7)


class Raising(Perilous):
    def act(self) -> None:
        raise ValueError("the paddle fell off")


class Stuck(Perilous):
    def act(self) -> None:
        while True:
            time.sleep(60)


class StuckInClose(Perilous):
    def close(self) -> None:
        Stuck.act(self)


class RaisingInClose(Perilous):
    def close(self) -> None:
        raise OSError("the license was not given back")


class RaisingInReset(Perilous):
    def reset(self) -> dm_env.TimeStep:
        if self._taken >= AT - 1:
            raise OSError("the level file is gone")
        return super().reset()


class Misfit(Perilous):
    """Returns a reward that is text."""

    def step(self, action: int) -> dm_env.TimeStep:
        timestep = super().step(action)
        return timestep._replace(reward="1.5") if self._taken == AT else timestep


class Unbuildable(Perilous):
    def __init__(self) -> None:
        raise OSError("no license file")

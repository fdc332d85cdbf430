"""Environments that misbehave, for the tests of how a run ends."""

import os
import signal
import subprocess
import sys
import threading

import dm_env
import numpy as np
from bsuite.environments import catch


class FailingCatch(catch.Catch):
    """Catch that raises at its 50th step."""

    _taken = 0

    def _step(self, action: int) -> dm_env.TimeStep:
        self._taken += 1
        if self._taken == 50:
            raise ValueError("the paddle fell off")
        return super()._step(action)


class EndlessCatch(catch.Catch):
    """Catch that pays 1 a step and never ends an episode."""

    def step(self, action: int) -> dm_env.TimeStep:
        if super().step(action).last():
            self.reset()
        return dm_env.transition(1.0, self._observation())


class StubbornCatch(catch.Catch):
    """Catch that sits in a step for ever and ignores SIGTERM."""

    _taken = 0

    def _step(self, action: int) -> dm_env.TimeStep:
        self._taken += 1
        if self._taken == 50:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            print("stuck", flush=True)
            signal.sigwait([signal.SIGUSR1])
        return super()._step(action)


class TalkingCatch(catch.Catch):
    """Catch that prints at each step, as C code does: past Python's own streams."""

    def _step(self, action: int) -> dm_env.TimeStep:
        os.write(1, b"x" * 2_000 + b"\n")
        return super()._step(action)


class DeafCatch(catch.Catch):
    """Catch that takes the signals of its process in the constructor and in a step."""

    _taken = 0

    def __init__(self, seed: int = 0):
        super().__init__(seed=seed)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: None)
            signal.set_wakeup_fd(-1)

    def _step(self, action: int) -> dm_env.TimeStep:
        self._taken += 1
        if self._taken == 50:
            signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
            print("deaf", flush=True)
        return super()._step(action)


class CrashingCatch(catch.Catch):
    """Catch that has the process end by SIGSEGV at its 50th step."""

    _taken = 0

    def _step(self, action: int) -> dm_env.TimeStep:
        self._taken += 1
        if self._taken == 50:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super()._step(action)


class SpawningCatch(catch.Catch):
    """Catch that starts a process of its own, in a session of its own."""

    def __init__(self, seed: int = 0):
        super().__init__(seed=seed)
        self._other = subprocess.Popen(
            [sys.executable, "-c", "import signal; signal.pause()"],
            start_new_session=True,
        )


class ContinuousCatch(catch.Catch):
    """Catch that claims a continuous action."""

    def action_spec(self):
        return dm_env.specs.BoundedArray((2,), np.float32, -1.0, 1.0, name="force")


def fail(seed: int = 0) -> dm_env.Environment:
    """A factory."""
    return FailingCatch(seed=seed)


def never_end(seed: int = 0) -> dm_env.Environment:
    """A factory."""
    return EndlessCatch(seed=seed)


def stick(seed: int = 0) -> dm_env.Environment:
    """A factory."""
    return StubbornCatch(seed=seed)


def talk(seed: int = 0) -> dm_env.Environment:
    """Returns an environment that prints much."""
    return TalkingCatch(seed=seed)


def deafen(seed: int = 0) -> dm_env.Environment:
    """A factory."""
    return DeafCatch(seed=seed)


def crash(seed: int = 0) -> dm_env.Environment:
    """A factory."""
    return CrashingCatch(seed=seed)


def spawn(seed: int = 0) -> dm_env.Environment:
    """A factory."""
    return SpawningCatch(seed=seed)


def continuous(seed: int = 0) -> dm_env.Environment:
    """A factory."""
    return ContinuousCatch(seed=seed)


def refuse(seed: int = 0) -> dm_env.Environment:
    """A factory that fails itself."""
    raise OSError("no licence file")

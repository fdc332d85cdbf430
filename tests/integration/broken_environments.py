"""Environments that misbehave, for the tests of how a run ends."""

import os
import signal
import subprocess
import sys
import threading

import dm_env
from bsuite.environments import catch


class _Broken(catch.Catch):
    """Catch that breaks at its 50th step."""

    _taken = 0

    def _step(self, action: int) -> dm_env.TimeStep:
        self._taken += 1
        if self._taken == 50:
            self._break()
        return super()._step(action)


class _Failing(_Broken):
    def _break(self):
        raise ValueError("the paddle fell off")


class _Stubborn(_Broken):
    """Hangs in a step and ignores SIGTERM."""

    def _break(self):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        print("stuck", flush=True)
        signal.sigwait([signal.SIGUSR1])


class _Deaf(_Broken):
    """Catches SIGTERM in the constructor and blocks all signals in a step."""

    def __init__(self, seed: int = 0):
        super().__init__(seed=seed)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: None)
            signal.set_wakeup_fd(-1)

    def _break(self):
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        print("deaf", flush=True)


class _Crashing(_Broken):
    def _break(self):
        os.kill(os.getpid(), signal.SIGSEGV)


class _Endless(catch.Catch):
    """Catch that pays 1 a step and never ends an episode."""

    def step(self, action: int) -> dm_env.TimeStep:
        if super().step(action).last():
            self.reset()
        return dm_env.transition(1.0, self._observation())


class _Talking(catch.Catch):
    """Catch that prints at each step, as C code does: past Python's own streams."""

    def _step(self, action: int) -> dm_env.TimeStep:
        os.write(1, b"x" * 2_000 + b"\n")
        return super()._step(action)


class _Spawning(catch.Catch):
    """Catch that starts a process in a new session."""

    def __init__(self, seed: int = 0):
        super().__init__(seed=seed)
        self._other = subprocess.Popen(
            [sys.executable, "-c", "import signal; signal.pause()"],
            start_new_session=True,
        )


def refuse(seed: int = 0) -> dm_env.Environment:
    """Fails to make an environment."""
    raise OSError("no license file")


fail, stick, deafen, crash = _Failing, _Stubborn, _Deaf, _Crashing
never_end, talk, spawn = _Endless, _Talking, _Spawning

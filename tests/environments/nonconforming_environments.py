"""Environments for `distrl check-env`: sound ones, and one that breaks each rule."""

import mmap
import os
import sys
import threading

import dm_env
import gymnasium
import numpy as np
from dm_env import specs
from integration import faulty_environments

_LENGTH = 5
FAULT_AT = 62
"""The step, of an instance, that a subclass spoils."""


class Sound(dm_env.Environment):
    """Keeps every rule; episodes end by termination and truncation in turn."""

    def __init__(self, seed: int = 0):
        self._random = np.random.RandomState(seed)
        self._taken = 0

    def reset(self):
        return dm_env.restart(self._observe())

    def step(self, action):
        self._taken += 1
        observation = self._observe()
        timestep = dm_env.transition(1.0, observation)
        if self._taken % (2 * _LENGTH) == 0:
            timestep = dm_env.truncation(1.0, observation)
        elif self._taken % _LENGTH == 0:
            timestep = dm_env.termination(1.0, observation)
        return self._spoil(timestep) if self._taken >= FAULT_AT else timestep

    def observation_spec(self):
        return specs.BoundedArray((3,), np.float32, 0.0, 1.0, name="observation")

    def action_spec(self):
        return specs.DiscreteArray(2)

    def _spoil(self, timestep):
        return timestep

    def _observe(self):
        return self._random.uniform(size=3).astype(np.float32)


class Continuous(Sound):
    def action_spec(self):
        return specs.BoundedArray((1,), np.float32, -1.0, 1.0)


class SpecOfText(Sound):
    def observation_spec(self):
        return specs.StringArray(())


class SpecRaises(Sound):
    def observation_spec(self):
        raise KeyError("size")


class Spoiled(Sound):
    """Fails like a class of `faulty_environments` from step `FAULT_AT` on."""

    def __init__(self, how: str, seed: int = 0):
        super().__init__(seed)
        self._spoil = getattr(faulty_environments, how)().spoil


class ObservesFloat64(Sound):
    def _observe(self):
        return super()._observe().astype(np.float64)


class NeverEnds(Sound):
    def _spoil(self, timestep):
        return dm_env.transition(1.0, timestep.observation)

    def step(self, action):
        return self._spoil(super().step(action))


class RaisesInReset(Sound):
    def reset(self):
        if self._taken >= FAULT_AT:
            raise OSError("the level file is gone")
        return super().reset()


class ResetsInTheMiddle(Sound):
    """Returns a MID time step from resets that follow a step."""

    def reset(self):
        timestep = super().reset()
        return (
            timestep
            if self._taken == 0
            else timestep._replace(step_type=dm_env.StepType.MID)
        )


class RaisesInClose(Sound):
    def close(self):
        raise RuntimeError("no window to close")


class IgnoresItsSeed(Sound):
    def __init__(self, seed: int = 0):
        super().__init__()
        self._random = np.random.RandomState(None)


class TakesNoSeed(Sound):
    def __init__(self):
        super().__init__()


class DrawsFromTheModule(Sound):
    """Takes a seed, but all instances share NumPy's global generator."""

    def __init__(self, seed: int = 0):
        super().__init__(seed)
        np.random.seed(seed)
        self._random = np.random


class OnlyOne(Sound):
    """Holds a lock that only one instance can have."""

    _held = threading.Lock()

    def __init__(self, seed: int = 0):
        super().__init__(seed)
        if not self._held.acquire(blocking=False):
            raise OSError("the port is taken")

    def close(self):
        self._held.release()


class _LockedArray(specs.Array):
    def __init__(self):
        super().__init__((3,), np.float32)
        self._lock = threading.Lock()

    def __reduce__(self):
        return _LockedArray, (), {"_lock": self._lock}


class SpecHoldsALock(Sound):
    def __init__(self, seed: int = 0):
        super().__init__(seed)
        self._spec = _LockedArray()

    def observation_spec(self):
        return self._spec


class KeepsAll(Sound):
    """Leaks 64 KiB in every step."""

    def __init__(self, seed: int = 0):
        super().__init__(seed)
        self._kept = []

    def step(self, action):
        # Not from the heap, which may reuse memory that was freed before.
        page = mmap.mmap(-1, 2**16)
        page.write(bytes(2**16))
        self._kept.append(page)
        return super().step(action)


class SoundGymnasium(gymnasium.Env):
    """A Gymnasium environment that keeps every rule."""

    observation_space = gymnasium.spaces.Dict(
        {
            "place": gymnasium.spaces.Box(-1.0, 1.0, (2,)),
            "room": gymnasium.spaces.Discrete(4),
        }
    )
    action_space = gymnasium.spaces.Discrete(3)

    def __init__(self, length: int = 4):
        self._length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._taken = 0
        return self._observe(), {}

    def step(self, action):
        self._taken += 1
        is_over = self._taken == self._length
        return self._observe(), float(action), is_over, False, {}

    def _observe(self):
        return {
            "place": self.np_random.uniform(-1, 1, 2).astype(np.float32),
            "room": int(self.np_random.integers(4)),
        }


class Prints(Sound):
    """Prints to stdout, as some environments do."""

    def reset(self):
        print("hello from the environment")
        return super().reset()


class Demanding(Sound):
    """Accepts only these arguments, which are of several types."""

    def __init__(self, size, flag, at, name, none, seed: int = 0):
        super().__init__(seed)
        given = (size, flag, at, name, none)
        assert given == ([1, 2], True, -1, "x=y", ""), given


class OldGymnasium(SoundGymnasium):
    """Follows the API of Gym before 0.26 in the method that `old` names."""

    def __init__(self, old: str = "step"):
        super().__init__()
        self._old = old

    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed)
        return observation if self._old == "reset" else (observation, info)

    def step(self, action):
        observation, reward, is_over, _, info = super().step(action)
        if self._old == "step":
            return observation, reward, is_over, info
        return observation, reward, is_over, False, info


class TakesNoSeedGymnasium(SoundGymnasium):
    def reset(self):
        return super().reset()


class SpoilsGymnasium(SoundGymnasium):
    """Spoils `part` as in `SPOILS`, from the second step of an episode on."""

    def __init__(self, part: str):
        super().__init__()
        self._part = part

    def step(self, action):
        answer = list(super().step(action))
        if self._taken > 1:
            index, value = SPOILS[self._part]
            answer[index] = value(answer[index]) if callable(value) else value
        return tuple(answer)


SPOILS = {
    "room": (0, lambda o: {**o, "room": 1.5}),
    "far room": (0, lambda o: {**o, "room": 4}),
    "place": (0, lambda o: {**o, "place": np.array([0.0, 1.5])}),
    "rewards": (1, np.zeros(2)),
    "terminated": (2, None),
    "truncated": (3, {}),
}


LEAVING = {
    "exit": lambda: sys.exit(3),
    "abort": lambda: os.abort(),
    "crash": lambda: os.kill(os.getpid(), 11),
    "end": lambda: os._exit(7),
    "hang": lambda: threading.Event().wait(),
}


class Leaves(Sound):
    """Ends its process or hangs, as `how` says, in the method `at`."""

    def __init__(self, at, how):
        super().__init__()
        self._at, self._how = at, how
        self._leave("init")

    def reset(self):
        self._leave("reset")
        return super().reset()

    def step(self, action):
        self._leave("step")
        return super().step(action)

    def _leave(self, at):
        if at == self._at:
            LEAVING[self._how]()

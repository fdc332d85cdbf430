"""One environment for each fault; all are sound in their first steps."""

import dm_env
import numpy as np
from dm_env import specs

_LENGTH = 5


class Sound(dm_env.Environment):
    """Pays 1 a step; a subclass spoils step `fault_at`, the last of an episode."""

    fault_at = 16 * _LENGTH

    def __init__(self, seed: int = 0):
        self._random = np.random.RandomState(seed)
        self._taken = 0

    def reset(self) -> dm_env.TimeStep:
        return dm_env.restart(self._observe())

    def step(self, action: int) -> dm_env.TimeStep:
        self._taken += 1
        if self._taken % _LENGTH == 0:
            timestep = dm_env.termination(1.0, self._observe())
        else:
            timestep = dm_env.transition(1.0, self._observe())
        return self.spoil(timestep) if self._taken == self.fault_at else timestep

    def spoil(self, timestep):
        return timestep

    def observation_spec(self) -> specs.BoundedArray:
        return specs.BoundedArray((3,), np.float32, 0.0, 1.0, name="observation")

    def action_spec(self) -> specs.DiscreteArray:
        return specs.DiscreteArray(2)

    def _observe(self) -> np.ndarray:
        return self._random.uniform(size=3).astype(np.float32)


class RaisesInStep(Sound):
    def spoil(self, timestep):
        raise ValueError("the paddle fell off")


class RaisesInReset(Sound):
    def reset(self):
        if self._taken >= self.fault_at:
            raise OSError("the level file is gone")
        return super().reset()


class BeginsOutOfBounds(Sound):
    """Spoils the first observation of a later episode."""

    def reset(self):
        timestep = super().reset()
        if self._taken < self.fault_at:
            return timestep
        return timestep._replace(observation=np.array([-0.5, 0, 0], np.float32))


class ObservesFractions(Sound):
    """Observes integers, but a fraction in one step."""

    def spoil(self, timestep):
        return timestep._replace(observation=np.array([0, 0.5, 1], np.float32))

    def observation_spec(self):
        return specs.BoundedArray((3,), np.uint8, 0, 1, name="observation")

    def _observe(self):
        return super()._observe().round().astype(np.uint8)


class ReturnsATuple(Sound):
    """Returns a tuple, as Gymnasium does."""

    def spoil(self, timestep):
        return timestep.observation, 1.0, False, False, {}


class BeginsAgain(Sound):
    """Answers step() with the first step of an episode."""

    def spoil(self, timestep):
        return dm_env.restart(timestep.observation)


FAULTS = {
    RaisesInStep: r"in step\([01]\): ValueError: the paddle fell off",
    RaisesInReset: r"in reset\(\): OSError: the level file is gone",
    BeginsOutOfBounds: r"observation\[0\] is -0.5; expected 0.0 to 1.0",
    ObservesFractions: r"from step\(\) .* observation\[1\] is 0.5; .* whole .* uint8",
    ReturnsATuple: r"returned \(array.* from step\(\); expected a dm_env.TimeStep",
    BeginsAgain: r"step\(\) with a first time step",
}
"""What the message says, after the index of the environment."""


def _add_fault(name: str, words: str, **spoiled) -> None:
    """Adds an environment that replaces parts of a time step."""

    class Fault(Sound):
        def spoil(self, timestep):
            return timestep._replace(**spoiled)

    Fault.__name__ = Fault.__qualname__ = name
    globals()[name] = Fault
    FAULTS[Fault] = words


_OBSERVATIONS = {
    "ForgetsItsArray": (None, r"expected the shape \(3,\) of float32, got None"),
    "ObservesNan": ([0, np.nan, 0], r"from step\(\) .* observation\[1\] is nan; "),
    "ObservesInfinity": ([0, 0, np.inf], r"observation\[2\] is inf; expected 0.0"),
    "LeavesItsBounds": ([0, 0, 1.5], r"\[2\] is 1.5; expected 0.0 to 1.0"),
    "ChangesItsShape": ([[0, 0, 0]], r"shape \(3,\) of float32, got .* \(1, 3\)"),
    "ChangesItsDtype": (["a", "b", "c"], r"float32, got array\(\['a', 'b', 'c'\]"),
}
_REWARDS = {
    "RewardsNan": (np.nan, "nan"),
    "RewardsInfinity": (-np.inf, "-inf"),
    # A number of float64 that is infinite as float32.
    "RewardsTooMuch": (1e39, r"1e\+39"),
    "RewardsNothing": (None, "None"),
    "RewardsText": ("1.5", r"'1.5' \(str\)"),
}
for _name, (_value, _words) in _OBSERVATIONS.items():
    _dtype = np.float32 if _name != "ChangesItsDtype" else None
    _array = None if _value is None else np.array(_value, _dtype)
    _add_fault(_name, _words, observation=_array)
for _name, (_value, _shown) in _REWARDS.items():
    _words = rf"the reward {_shown} from step\(\); expected a finite number"
    _add_fault(_name, _words, reward=_value)
for _name, _value in {"DiscountsTwice": 2.0, "DiscountsNan": np.nan}.items():
    _words = rf"the discount {_value} from step\(\); expected a number from 0 to 1"
    _add_fault(_name, _words, discount=_value)

"""One environment for each fault; all are well for their first steps."""

import dm_env
import numpy as np
from dm_env import specs

_LENGTH = 5


class Sound(dm_env.Environment):
    """Observes three numbers from 0 to 1; each reward is 1.

    A subclass spoils the step `fault_at`, which is the last one of an episode.
    """

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


class ForgetsItsArray(Sound):
    def spoil(self, timestep):
        return timestep._replace(observation=None)


class ObservesNan(Sound):
    def spoil(self, timestep):
        return timestep._replace(observation=np.array([0, np.nan, 0], np.float32))


class ObservesInfinity(Sound):
    def spoil(self, timestep):
        return timestep._replace(observation=np.array([0, 0, np.inf], np.float32))


class LeavesItsBounds(Sound):
    def spoil(self, timestep):
        return timestep._replace(observation=np.array([0, 0, 1.5], np.float32))


class BeginsOutOfBounds(Sound):
    """In the first observation of a later episode."""

    def reset(self):
        timestep = super().reset()
        if self._taken < self.fault_at:
            return timestep
        return timestep._replace(observation=np.array([-0.5, 0, 0], np.float32))


class ChangesItsShape(Sound):
    def spoil(self, timestep):
        return timestep._replace(observation=np.zeros((1, 3), np.float32))


class ChangesItsDtype(Sound):
    def spoil(self, timestep):
        return timestep._replace(observation=np.array(["a", "b", "c"]))


class ObservesFractions(Sound):
    """Counts in integers, but for one step."""

    def spoil(self, timestep):
        return timestep._replace(observation=np.array([0, 0.5, 1], np.float32))

    def observation_spec(self):
        return specs.BoundedArray((3,), np.uint8, 0, 1, name="observation")

    def _observe(self):
        return super()._observe().round().astype(np.uint8)


class RewardsNan(Sound):
    def spoil(self, timestep):
        return timestep._replace(reward=np.nan)


class RewardsInfinity(Sound):
    def spoil(self, timestep):
        return timestep._replace(reward=-np.inf)


class RewardsTooMuch(Sound):
    """A number of float64 that is infinite as float32."""

    def spoil(self, timestep):
        return timestep._replace(reward=1e39)


class RewardsNothing(Sound):
    def spoil(self, timestep):
        return timestep._replace(reward=None)


class RewardsText(Sound):
    def spoil(self, timestep):
        return timestep._replace(reward="1.5")


class DiscountsTwice(Sound):
    def spoil(self, timestep):
        return timestep._replace(discount=2.0)


class DiscountsNan(Sound):
    def spoil(self, timestep):
        return timestep._replace(discount=np.nan)


class ReturnsATuple(Sound):
    """As Gymnasium does."""

    def spoil(self, timestep):
        return timestep.observation, 1.0, False, False, {}


class BeginsAnew(Sound):
    """Answers step() with the first step of an episode."""

    def spoil(self, timestep):
        return dm_env.restart(timestep.observation)


FAULTS = {
    RaisesInStep: r"in step\([01]\): ValueError: the paddle fell off",
    RaisesInReset: r"in reset\(\): OSError: the level file is gone",
    ForgetsItsArray: r"expected the shape \(3,\) of float32, got None",
    ObservesNan: r"from step\(\) outside its spec: observation\[1\] is nan; ",
    ObservesInfinity: r"observation\[2\] is inf; expected 0.0 to 1.0",
    LeavesItsBounds: r"observation\[2\] is 1.5; expected 0.0 to 1.0",
    BeginsOutOfBounds: r"observation\[0\] is -0.5; expected 0.0 to 1.0",
    ChangesItsShape: r"shape \(3,\) of float32, got the shape \(1, 3\)",
    ChangesItsDtype: r"shape \(3,\) of float32, got array\(\['a', 'b', 'c'\]",
    ObservesFractions: r"from step\(\) .* observation\[1\] is 0.5; .* whole .* uint8",
    RewardsNan: r"the reward nan from step\(\); expected a finite number",
    RewardsInfinity: r"the reward -inf from step\(\); expected a finite number",
    RewardsTooMuch: r"the reward 1e\+39 from step\(\); expected a finite number",
    RewardsNothing: r"the reward None from step\(\); expected a finite number",
    RewardsText: r"the reward '1.5' \(str\) from step\(\); expected a finite number",
    DiscountsTwice: r"the discount 2.0 from step\(\); expected a number from 0 to 1",
    DiscountsNan: r"the discount nan from step\(\); expected a number from 0 to 1",
    ReturnsATuple: r"returned \(array.* from step\(\); expected a dm_env.TimeStep",
    BeginsAnew: r"step\(\) with a first time step",
}
"""What the message says, after the index of the environment."""

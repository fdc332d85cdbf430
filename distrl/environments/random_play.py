"""Random play that records all faults of an environment, instead of raising."""

import hashlib
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dm_env
import numpy as np
import psutil
import tree

from distrl.action_masks import ACTION_MASK, split_mask
from distrl.environments.value_checks import (
    Leaf,
    check_time_step,
    read_array,
    read_discounts,
    read_rewards,
    refuse_stuck,
)
from distrl.environments.vector import Episode
from distrl.errors import EnvironmentFault, locate_error

# The fraction of steps before the first memory measurement: by then an environment has
# allocated its long-lived memory.
_WARM_UP = 0.25
DIGESTS = 500
"""The answers over which trajectories are compared."""


@dataclass
class Fault:
    """The first violation of a rule, its step (0 is a reset), and the count of all."""

    text: str
    step: int
    count: int = 0


class RandomActions:
    """Draws random legal actions."""

    def __init__(self, environment: dm_env.Environment, seed: int):
        """Seeds the draws."""
        spec = environment.action_spec()
        self._dtype = spec.dtype
        self._least = int(spec.minimum)
        self._num_actions = int(spec.maximum) - self._least + 1
        self._random = np.random.RandomState(seed)

    def draw(self, observation: Any) -> Any:
        """Returns a random legal action; any action if the mask is unusable."""
        _, mask = split_mask(observation)
        legal: Any = range(self._num_actions)
        if np.shape(mask) == (self._num_actions,) and np.any(mask):
            legal = np.flatnonzero(mask)
        action = self._least + legal[self._random.randint(len(legal))]
        # The dtype in which a vector environment passes actions on.
        return int(action) if self._dtype == np.int64 else self._dtype.type(action)


def play(
    environments: Sequence[dm_env.Environment],
    leaves: Sequence[Leaf],
    steps: int,
    seed: int,
) -> list["RandomPlay"]:
    """Plays in all environments in turns, with the same random draws in each."""
    plays = [RandomPlay(environment, leaves) for environment in environments]
    for _ in itertools.zip_longest(*(each.run(steps, seed) for each in plays)):
        pass
    return plays


class RandomPlay:
    """Takes random actions until the environment raises or all steps are done.

    Attributes:
      steps: the number of steps begun.
      faults: the fault of each broken rule; the rule `casts` is about observations of
        another dtype than the spec's, which lose nothing.
      episodes: those that ended; `is_cut` says whether by truncation.
      low, high: the smallest and the largest reward.
      seconds: the time spent in the environment's own calls.
      memory: bytes of this process after the warm-up and at the end.
      digests: of the first answers.
    """

    def __init__(self, environment: dm_env.Environment, leaves: Sequence[Leaf]):
        """Takes the leaves of the environment's observations."""
        self.steps = 0
        self.faults: dict[str, Fault] = {}
        self.episodes: list[Episode] = []
        self.low, self.high = np.inf, -np.inf
        self.seconds = 0.0
        self.memory: list[int] = []
        self.digests: list[bytes] = []
        self._environment = environment
        self._leaves = leaves
        self._call = "reset()"

    def run(self, steps: int, seed: int) -> Iterator[None]:
        """Plays; yields after each step."""
        try:
            yield from self._play(steps, seed)
        except (Exception, SystemExit) as error:
            rule = "resets" if self._call == "reset()" and self.steps else "steps"
            if not isinstance(error, EnvironmentFault):
                what = f"{type(error).__name__}: {error}{locate_error(error)}"
                error = EnvironmentFault(f"{self._call}: {what}")
            self._note(error, rule)
        self.memory.append(psutil.Process().memory_info().rss)

    def _play(self, steps: int, seed: int) -> Iterator[None]:
        actions = RandomActions(self._environment, seed)
        episode_return, length = 0.0, 0
        timestep = self._ask("reset()", self._environment.reset)
        for _ in range(steps):
            action = actions.draw(timestep.observation)
            self.steps += 1
            length += 1
            if self.steps == int(steps * _WARM_UP):
                self.memory.append(psutil.Process().memory_info().rss)
            timestep = self._ask(f"step({action})", self._environment.step, action)
            reward = self._attempt(read_rewards, [timestep.reward])
            if reward is not None:
                self.low = min(self.low, reward[0])
                self.high = max(self.high, reward[0])
                episode_return += reward[0]
            discount = self._attempt(read_discounts, [timestep.discount])
            if timestep.last():
                is_cut = discount is None or bool(discount[0] > 0)
                self.episodes.append(Episode(0, episode_return, length, is_cut))
                episode_return, length = 0.0, 0
                timestep = self._ask("reset()", self._environment.reset)
            yield

    def _ask(self, call: str, method: Callable, *arguments: Any) -> dm_env.TimeStep:
        self._call = call
        begun = time.perf_counter()
        timestep = method(*arguments)
        self.seconds += time.perf_counter() - begun
        check_time_step(timestep, 0, call)
        if call == "reset()" and not timestep.first():
            text = "reset() answered with a time step that is not a first one"
            self._note(EnvironmentFault(text, "resets"))
        for leaf in self._leaves:
            self._check_leaf(leaf, timestep)
        if len(self.digests) < DIGESTS:
            self.digests.append(_digest(timestep))
        return timestep

    def _check_leaf(self, leaf: Leaf, timestep: dm_env.TimeStep) -> None:
        array = self._attempt(read_array, leaf, timestep.observation, 0, self._call)
        if array is None:
            return
        dtype = np.asarray(leaf.read(timestep.observation)).dtype
        if dtype != leaf.declared:
            text = f"{dtype}{leaf.place}, the spec has {leaf.declared}"
            self._note(EnvironmentFault(text, "casts"))
        # After a termination no action is chosen or bootstrapped from.
        is_over = timestep.last() and timestep.discount == 0
        if leaf.path == (ACTION_MASK,) and not is_over and not array.any():
            self._note(refuse_stuck(0, self._call))

    def _attempt(self, read: Callable, *arguments: Any) -> Any:
        """Returns the result of a check, or records why it failed and returns None."""
        try:
            return read(*arguments)
        except EnvironmentFault as fault:
            self._note(fault)
            return None

    def _note(self, fault: EnvironmentFault, rule: str = "steps") -> None:
        text = str(fault).removeprefix("environment 0 ")
        self.faults.setdefault(fault.rule or rule, Fault(text, self.steps)).count += 1


def _digest(timestep: dm_env.TimeStep) -> bytes:
    parts: list[Any] = [timestep.step_type, timestep.reward, timestep.discount]
    for leaf in tree.flatten(timestep.observation):
        array = np.asarray(leaf)
        is_plain = array.dtype.kind in "biuf"
        parts += [array.shape, array.dtype, array.tobytes() if is_plain else leaf]
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()

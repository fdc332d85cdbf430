"""Random actions in an environment, and all that is wrong with what it answers.

A vector environment raises at the first fault; this notes each and goes on.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import dm_env
import numpy as np
import psutil

from distrl.action_masks import ACTION_MASK, split_mask
from distrl.environments.actions import describe_stuck
from distrl.environments.reading import (
    Leaf,
    read_array,
    read_discounts,
    read_rewards,
    show,
)
from distrl.errors import EnvironmentFault
from distrl.user_code import locate_error

# The part of the steps after which memory is first looked at: what an environment
# keeps for good it has by then.
_WARM_UP = 0.25
_BLAME = "environment 0 "


@dataclass
class Fault:
    """What was wrong, the first time and how often.

    Attributes:
      text: the first of them.
      step: the step at which it was, from 1; 0 is the first reset.
      count: how many there were.
    """

    text: str
    step: int
    count: int = 1


@dataclass
class Play:
    """What was seen of an environment under random actions.

    Attributes:
      steps: taken.
      is_whole: whether none was left out because the environment raised.
      observations: that were read, those of resets too.
      resets: that came after the end of an episode.
      faults: by rule: `steps`, `resets`, `observations`, `bounds`, `finite numbers`,
        `action masks`, `rewards`, `discounts`.
      casts: that had another dtype than the spec says, which distrl mends.
      returns: of the episodes that ended.
      lengths: of the same, in steps.
      truncations: how many of them were cut off, their discount not 0.
      rewards: the smallest and the largest; None before the first.
      seconds: in the environment's own calls.
      warm_memory: bytes of this process after the warm-up; None before.
      last_memory: the same at the end.
    """

    steps: int = 0
    is_whole: bool = True
    observations: int = 0
    resets: int = 0
    faults: dict[str, Fault] = field(default_factory=dict)
    casts: Fault | None = None
    returns: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    truncations: int = 0
    rewards: tuple[float, float] | None = None
    seconds: float = 0.0
    warm_memory: int | None = None
    last_memory: int | None = None

    def note(self, rule: str, text: str) -> None:
        """Notes a fault at the step that is being taken."""
        if rule in self.faults:
            self.faults[rule].count += 1
        else:
            self.faults[rule] = Fault(text.removeprefix(_BLAME), self.steps)


class RandomActions:
    """Draws actions in an environment whose actions are 0 to n - 1."""

    def __init__(self, environment: dm_env.Environment, seed: int):
        """Takes what is to be played; the same seed draws the same actions."""
        spec = environment.action_spec()
        self._dtype = spec.dtype
        self._num_actions = int(spec.maximum) + 1
        self._random = np.random.RandomState(seed)

    def draw(self, observation: Any) -> Any:
        """Returns one of the legal actions, each with the same probability.

        Where a mask is no good it returns any action.
        """
        _, mask = split_mask(observation)
        legal: Any = range(self._num_actions)
        if np.shape(mask) == (self._num_actions,) and np.any(mask):
            legal = np.flatnonzero(mask)
        action = legal[self._random.randint(len(legal))]
        # As a vector environment hands them over.
        return int(action) if self._dtype == np.int64 else self._dtype.type(action)


def play(
    environment: dm_env.Environment, leaves: Sequence[Leaf], steps: int, seed: int
) -> Play:
    """Takes random actions, whatever the environment answers, until it raises.

    Args:
      environment: as `make_environment` returns it.
      leaves: the arrays that an observation has to hold.
      steps: how many to take.
      seed: of the actions.
    """
    seen = Play()
    actions = RandomActions(environment, seed)
    memory = psutil.Process()
    warm = int(steps * _WARM_UP)

    def ask(method: Callable[..., Any], *arguments: Any) -> dm_env.TimeStep:
        begun = time.perf_counter()
        answer = method(*arguments)
        seen.seconds += time.perf_counter() - begun
        if not isinstance(answer, dm_env.TimeStep):
            raise EnvironmentFault(
                f"returned {show(answer)} from {call}; expected a dm_env.TimeStep"
            )
        _look(seen, leaves, answer.observation, call)
        # A mask may be all zeros where nothing is chosen and nothing bootstraps.
        if not answer.last() or answer.discount != 0:
            _look_at_mask(seen, leaves, answer.observation, call)
        return answer

    call = "reset()"
    episode_return, length = 0.0, 0
    try:
        timestep = ask(environment.reset)
        if not timestep.first():
            seen.note("resets", "reset() answered with no first time step")
        for _ in range(steps):
            action = actions.draw(timestep.observation)
            call = f"step({action})"
            seen.steps += 1
            if seen.steps == warm:
                seen.warm_memory = memory.memory_info().rss
            timestep = ask(environment.step, action)
            if timestep.first():
                seen.note(
                    "steps",
                    "step() answered with a first time step; an episode has to end "
                    "with a last one",
                )
                episode_return, length = 0.0, 0
                continue
            reward, discount = _read_numbers(seen, timestep)
            episode_return += reward
            length += 1
            if not timestep.last():
                continue
            seen.returns.append(episode_return)
            seen.lengths.append(length)
            seen.truncations += discount > 0
            episode_return, length = 0.0, 0
            call = "reset()"
            timestep = ask(environment.reset)
            if not timestep.first():
                seen.note("resets", "reset() answered with no first time step")
            seen.resets += 1
    except (Exception, SystemExit) as error:
        seen.is_whole = False
        where = "resets" if call == "reset()" and seen.steps else "steps"
        text = f"{call}: {type(error).__name__}: {error}{locate_error(error)}"
        seen.note(where, str(error) if isinstance(error, EnvironmentFault) else text)
    seen.last_memory = memory.memory_info().rss
    return seen


def _look(seen: Play, leaves: Sequence[Leaf], observation: Any, call: str) -> None:
    """Holds an observation against its spec."""
    seen.observations += 1
    for leaf in leaves:
        try:
            read_array(leaf, observation, 0, call)
        except EnvironmentFault as fault:
            assert fault.rule is not None
            seen.note(fault.rule, str(fault))
            continue
        found = np.asarray(leaf.read(observation)).dtype
        if found == leaf.declared:
            continue
        if seen.casts is None:
            text = f"{found}{leaf.describe_place()}, the spec has {leaf.declared}"
            seen.casts = Fault(text, seen.steps, count=0)
        seen.casts.count += 1


def _look_at_mask(
    seen: Play, leaves: Sequence[Leaf], observation: Any, call: str
) -> None:
    """Notes a mask that allows no action, where one has to follow."""
    if any(leaf.path == (ACTION_MASK,) for leaf in leaves):
        _, mask = split_mask(observation)
        if not np.any(mask):
            seen.note("action masks", describe_stuck(call))


def _read_numbers(seen: Play, timestep: dm_env.TimeStep) -> tuple[float, float]:
    """Returns reward and discount, 0 and 1 for those that are no such numbers."""
    reward, discount = 0.0, 1.0
    try:
        reward = float(read_rewards([timestep.reward])[0])
        low, high = seen.rewards or (reward, reward)
        seen.rewards = min(low, reward), max(high, reward)
    except EnvironmentFault as fault:
        seen.note("rewards", str(fault))
    try:
        discount = float(read_discounts([timestep.discount])[0])
    except EnvironmentFault as fault:
        seen.note("discounts", str(fault))
    return reward, discount

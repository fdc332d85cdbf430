"""Random play that records all faults of an environment, instead of raising."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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
    refuse_first_step,
    refuse_stuck,
)
from distrl.errors import EnvironmentFault
from distrl.system.user_code import locate_error

# The fraction of steps before the first memory measurement: by then an environment has
# allocated its long-lived memory.
_WARM_UP = 0.25


@dataclass
class Fault:
    """The first violation of a rule, its step (0 is a reset), and the count of all."""

    text: str
    step: int
    count: int = 1


@dataclass
class Play:
    """The observed behaviour of an environment under random actions."""

    steps: int = 0
    is_whole: bool = True  # False if the environment raised
    observations: int = 0
    resets: int = 0  # after an episode ended
    faults: dict[str, Fault] = field(default_factory=dict)  # by rule
    casts: Fault | None = None  # observations of another dtype than the spec's
    returns: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    truncations: int = 0
    rewards: tuple[float, float] | None = None  # the smallest and the largest
    seconds: float = 0.0  # in the environment's own calls
    warm_memory: int | None = None  # bytes of this process, after the warm-up
    last_memory: int | None = None

    def note(self, rule: str, text: str) -> None:
        """Records a fault at the current step."""
        fault = self.faults.setdefault(rule, Fault(text, self.steps, count=0))
        fault.count += 1

    def attempt(self, read: Callable[..., Any], *arguments: Any) -> Any:
        """Returns the result of a check, or records why it failed and returns None."""
        try:
            return read(*arguments)
        except EnvironmentFault as fault:
            assert fault.rule is not None
            self.note(fault.rule, _strip(fault))
            return None


class RandomActions:
    """Draws random actions, 0 to n - 1."""

    def __init__(self, environment: dm_env.Environment, seed: int):
        """Seeds the draws."""
        spec = environment.action_spec()
        self._dtype = spec.dtype
        self._num_actions = int(spec.maximum) + 1
        self._random = np.random.RandomState(seed)

    def draw(self, observation: Any) -> Any:
        """Returns a random legal action; any action if the mask is unusable."""
        _, mask = split_mask(observation)
        legal: Any = range(self._num_actions)
        if np.shape(mask) == (self._num_actions,) and np.any(mask):
            legal = np.flatnonzero(mask)
        action = legal[self._random.randint(len(legal))]
        # The dtype in which a vector environment passes actions on.
        return int(action) if self._dtype == np.int64 else self._dtype.type(action)


def play(
    environment: dm_env.Environment, leaves: Sequence[Leaf], steps: int, seed: int
) -> Play:
    """Takes random actions until the environment raises or `steps` are done."""
    seen = Play()
    actions = RandomActions(environment, seed)
    memory = psutil.Process()

    def ask(method: Callable[..., Any], *arguments: Any) -> dm_env.TimeStep:
        begun = time.perf_counter()
        answer = method(*arguments)
        seen.seconds += time.perf_counter() - begun
        check_time_step(answer, 0, call)
        _look(seen, leaves, answer, call)
        return answer

    call = "reset()"
    episode_return, length = 0.0, 0
    try:
        timestep = ask(environment.reset)
        for _ in range(steps):
            action = actions.draw(timestep.observation)
            call = f"step({action})"
            seen.steps += 1
            if seen.steps == int(steps * _WARM_UP):
                seen.warm_memory = memory.memory_info().rss
            timestep = ask(environment.step, action)
            if timestep.first():
                seen.note("steps", _strip(refuse_first_step(0)))
                episode_return, length = 0.0, 0
                continue
            rewards = seen.attempt(read_rewards, [timestep.reward])
            if rewards is not None:
                reward = float(rewards[0])
                low, high = seen.rewards or (reward, reward)
                seen.rewards = min(low, reward), max(high, reward)
                episode_return += reward
            discounts = seen.attempt(read_discounts, [timestep.discount])
            length += 1
            if not timestep.last():
                continue
            seen.returns.append(episode_return)
            seen.lengths.append(length)
            seen.truncations += discounts is None or discounts[0] > 0
            episode_return, length = 0.0, 0
            call = "reset()"
            timestep = ask(environment.reset)
            seen.resets += 1
    except (Exception, SystemExit) as error:
        seen.is_whole = False
        rule = "resets" if call == "reset()" and seen.steps else "steps"
        text = f"{call}: {type(error).__name__}: {error}{locate_error(error)}"
        seen.note(rule, _strip(error) if isinstance(error, EnvironmentFault) else text)
    seen.last_memory = memory.memory_info().rss
    return seen


def trace(
    environments: Sequence[dm_env.Environment], steps: int, seed: int
) -> list[list[bytes]]:
    """Returns digests of all answers of environments that take the same actions."""
    actions = [RandomActions(environment, seed) for environment in environments]
    timesteps = [environment.reset() for environment in environments]
    digests = [[_digest(timestep)] for timestep in timesteps]
    for _ in range(steps):
        for index, environment in enumerate(environments):
            action = actions[index].draw(timesteps[index].observation)
            timesteps[index] = environment.step(action)
            digests[index].append(_digest(timesteps[index]))
            if timesteps[index].last():
                timesteps[index] = environment.reset()
                digests[index].append(_digest(timesteps[index]))
    return digests


def _look(
    seen: Play, leaves: Sequence[Leaf], timestep: dm_env.TimeStep, call: str
) -> None:
    if call == "reset()" and not timestep.first():
        seen.note("resets", "reset() answered with no first time step")
    seen.observations += 1
    for leaf in leaves:
        array = seen.attempt(read_array, leaf, timestep.observation, 0, call)
        if array is None:
            continue
        found = np.asarray(leaf.read(timestep.observation)).dtype
        if found != leaf.declared:
            if seen.casts is None:
                text = f"{found}{leaf.describe_place()}, the spec has {leaf.declared}"
                seen.casts = Fault(text, seen.steps, count=0)
            seen.casts.count += 1
    # After a termination no action is chosen or bootstrapped from.
    if timestep.last() and timestep.discount == 0:
        return
    if any(leaf.path == (ACTION_MASK,) for leaf in leaves):
        _, mask = split_mask(timestep.observation)
        if not np.any(mask):
            fault = refuse_stuck(0, call)
            seen.note("action masks", _strip(fault))


def _strip(error: BaseException) -> str:
    return str(error).removeprefix("environment 0 ")


def _digest(timestep: dm_env.TimeStep) -> bytes:
    parts: list[Any] = [timestep.step_type, timestep.reward, timestep.discount]
    for leaf in tree.flatten(timestep.observation):
        array = np.asarray(leaf)
        is_plain = array.dtype.kind in "biuf"
        parts += [array.shape, array.dtype, array.tobytes() if is_plain else leaf]
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()

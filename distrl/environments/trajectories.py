"""Trajectories of instances: what a seed decides, and what a neighbour must not."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dm_env
import numpy as np
import tree

from distrl.environments.random_play import RandomActions
from distrl.environments.registry import close_quietly, make_environment
from distrl.findings import Finding

_SEED_ADVICE = (
    "draw every random number from a generator of the instance's own, made from the "
    "factory's parameter `seed` (dm_env) or from self.np_random after "
    "super().reset(seed=seed) (Gymnasium)"
)
_INSTANCE_ADVICE = (
    "keep all state, random generators too, in the instance: an actor steps many of "
    "them in one process; nothing in the module, the class or np.random"
)


def judge_trajectories(
    uri: str, args: Mapping[str, Any], steps: int, seed: int
) -> Iterator[Finding]:
    """Yields the findings about seeds, and about instances beside each other."""
    seeds = (seed, seed + 1)

    def run(*chosen: int) -> list[list[bytes]]:
        environments: list[dm_env.Environment] = []
        try:
            for each in chosen:
                environments.append(make_environment(uri, args, each))
            return trace(environments, steps, seed)
        finally:
            for environment in environments:
                close_quietly(environment)

    try:
        (first,), (again,), (other,) = run(seeds[0]), run(seeds[0]), run(seeds[1])
    except Exception as error:
        found = f"another instance fails: {type(error).__name__}: {error}"
        yield Finding("seeding", "failed", found, _INSTANCE_ADVICE)
        return
    if first != again:
        place = _find_difference(first, again)
        found = f"the same seed gives other trajectories, from {place} on"
        yield Finding("seeding", "failed", found, _SEED_ADVICE)
        found = "not told: the same seed gives other trajectories anyway"
        yield Finding("independence", "warning", found, _SEED_ADVICE)
        return
    if first == other:
        found = f"the seeds {seeds[0]} and {seeds[1]} give the same trajectory"
        advice = "that is well where nothing is random; if not: " + _SEED_ADVICE
        yield Finding("seeding", "warning", found, advice)
    else:
        found = f"the same seed, the same {steps:,} steps; another seed, others"
        yield Finding("seeding", "ok", found)
    yield _judge_independence(run, seeds, (first, other))


def trace(
    environments: Sequence[dm_env.Environment], steps: int, seed: int
) -> list[list[bytes]]:
    """Returns digests of all that environments answer, stepped in turns.

    Args:
      environments: reset when they begin, and where an episode ends.
      steps: how many each takes.
      seed: of the actions, the same for all.
    """
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


def _judge_independence(
    run: Callable[..., list[list[bytes]]],
    seeds: tuple[int, int],
    alone: tuple[list[bytes], list[bytes]],
) -> Finding:
    try:
        together = run(*seeds)
    except Exception as error:
        found = f"two instances at a time fail: {type(error).__name__}: {error}"
        return Finding("independence", "failed", found, _INSTANCE_ADVICE)
    for trajectory, expected in zip(together, alone, strict=True):
        if trajectory != expected:
            place = _find_difference(trajectory, expected)
            found = f"beside another instance it goes another way, from {place} on"
            return Finding("independence", "failed", found, _INSTANCE_ADVICE)
    found = "two instances in turns go the way that each goes alone"
    return Finding("independence", "ok", found)


def _find_difference(one: list[bytes], other: list[bytes]) -> str:
    """Returns the first place, in words, where two trajectories differ."""
    pairs = zip(one, other, strict=False)
    index = next((i for i, (a, b) in enumerate(pairs) if a != b), len(one))
    return f"answer {index:,}" if index else "the first reset"


def _digest(timestep: dm_env.TimeStep) -> bytes:
    digest = hashlib.blake2b(digest_size=8)
    for part in _describe(timestep):
        digest.update(part)
    return digest.digest()


def _describe(timestep: dm_env.TimeStep) -> Iterator[bytes]:
    yield repr((timestep.step_type, timestep.reward, timestep.discount)).encode()
    for leaf in tree.flatten(timestep.observation):
        array = np.asarray(leaf)
        yield repr((array.shape, array.dtype)).encode()
        yield array.tobytes() if array.dtype.kind in "biuf" else repr(leaf).encode()

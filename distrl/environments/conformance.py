"""The report of `distrl check-env`: the rules that an environment must keep."""

import contextlib
import itertools
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import cloudpickle
import dm_env
import numpy as np
import tree

from distrl.action_masks import ACTION_MASK
from distrl.environments.making import (
    adapt_environment,
    build_environment,
    close_quietly,
    make_environment,
)
from distrl.environments.random_play import DIGESTS, RandomPlay, play
from distrl.environments.spec import count_actions, make_spec
from distrl.environments.suites import find_module
from distrl.environments.value_checks import make_leaves
from distrl.errors import ConfigError
from distrl.types import Finding

_MIB = 2**20
# Python and NumPy allocate memory in pieces: smaller increases are not leaks.
_ALLOWED_MIB = 8.0

# What to do about a broken rule of random play.
_PLAY_ADVICE = {
    "steps": "such a fault ends an actor's run; fix what is named",
    "observations": (
        "return what the spec or space says, or make it say what is returned"
    ),
    "bounds": (
        "widen the bounds of the spec or space; where they are only a guess, leave "
        "them out: specs.Array, or Box(-np.inf, np.inf)"
    ),
    "finite numbers": (
        "find where it comes from: after a single one, a network returns only NaN"
    ),
    "action masks": (
        "allow at least one action in every state in which an episode continues"
    ),
    "rewards": "return a finite number with every step",
    "discounts": (
        "return 0 where the episode terminates and 1 elsewhere; distrl applies gamma "
        "itself"
    ),
    "episodes": (
        "try more (--steps); an evaluation cuts off an episode that has not ended "
        "after evaluation.max_episode_steps: set that to what an episode may take"
    ),
    "resets": "let reset() begin an episode at any time, with a first time step",
}
_SEED_ADVICE = (
    "draw every random number from a generator of the instance's own, made from the "
    "factory's parameter `seed` (dm_env) or from self.np_random after "
    "super().reset(seed=seed) (Gymnasium)"
)
_INSTANCE_ADVICE = (
    "keep all state, random generators too, in the instance: an actor steps many of "
    "them in one process; nothing in the module, the class or np.random"
)


def check_environment(
    uri: str, args: Mapping[str, Any], steps: int, seed: int
) -> Iterator[Finding]:
    """Yields one finding per rule that could be checked, as soon as it is known.

    Takes the arguments of `make_environment`; `seed` also draws the `steps` random
    actions. Raises ConfigError if the environment does not exist or cannot be built.
    """
    begun = time.perf_counter()
    built = build_environment(uri, args, seed)
    seconds = time.perf_counter() - begun
    name = f"{type(built).__module__}.{type(built).__qualname__}"
    yield Finding("builds", "ok", f"{name}, in {seconds:.2g} s")
    with contextlib.ExitStack() as stack:
        stack.callback(close_quietly, built)
        environment = yield from _attempt(
            "actions",
            uri,
            lambda: adapt_environment(built, uri, seed),
            lambda it: f"{count_actions(it.action_spec(), uri)} discrete ones",
        )
        if environment is None:
            return
        spec = yield from _attempt(
            "observation spec",
            uri,
            lambda: make_spec(environment, uri).observation,
            _describe_spec,
        )
        if spec is None:
            return
        leaves = make_leaves(spec, environment.observation_spec())
        (seen,) = play([environment], leaves, steps, seed)
        yield from _judge_play(
            seen, any(leaf.path == (ACTION_MASK,) for leaf in leaves)
        )
        stack.pop_all()
        yield from _attempt("close", uri, environment.close, lambda _: "it closes")
    if len(seen.digests) > 1:
        yield from _judge_trajectories(uri, args, steps, seed, seen.digests)
    yield from _attempt(
        "launching",
        uri,
        lambda: len(cloudpickle.dumps(spec)),
        lambda size: f"the spec pickles, {size:,} bytes{_name_module(uri)}",
        "nodes are sent the observation spec: make it of dm_env.specs arrays only, "
        "without locks, files or handles",
    )
    if seen.steps:
        rate = f"{seen.steps / seen.seconds:,.0f} steps/s"
        us = 1e6 * seen.seconds / seen.steps
        yield Finding("speed", "ok", f"{rate}, {us:.3g} us a step with resets")
    yield from _judge_memory(seen)


def _attempt(
    rule: str,
    uri: str,
    read: Callable[[], Any],
    describe: Callable[[Any], str],
    advice: str = "this must not raise",
) -> Generator[Finding, None, Any]:
    """Yields a finding and returns what `read` returns; None if it raises."""
    value = None
    try:
        value = read()
        yield Finding(rule, "ok", describe(value))
    except ConfigError as error:  # Its message says what to do.
        text = str(error).removeprefix(f"environment {uri!r} has ")
        yield Finding(rule, "failed", text)
    except Exception as error:
        yield Finding(rule, "failed", f"{type(error).__name__}: {error}", advice)
    return value


def _describe_spec(observation: Any) -> str:
    return ", ".join(
        f"{'/'.join(map(str, path))} {list(spec.shape)} {spec.dtype}".lstrip()
        for path, spec in tree.flatten_with_path(observation)
    )


def _name_module(uri: str) -> str:
    name = find_module(uri)
    if name is None:
        return ""
    file = getattr(sys.modules[name], "__file__", None) or "without a file"
    return f"; every node imports {name} ({file})"


def _judge_play(seen: RandomPlay, has_mask: bool) -> Iterator[Finding]:
    kept = _describe_play(seen)
    if not has_mask:
        del kept["action masks"]
    warnings = set() if seen.episodes else {"episodes", "resets"}
    if casts := seen.faults.get("casts"):
        kept["observations"] = f"{casts.count:,} are of {casts.text}"
        warnings.add("observations")
    for rule, advice in _PLAY_ADVICE.items():
        if fault := seen.faults.get(rule):
            where = f"at step {fault.step:,}" if fault.step else "at the first reset"
            times = f" (and {fault.count - 1:,} times more)" if fault.count > 1 else ""
            found = f"{where}: {fault.text}{times}"
            yield Finding(rule, "failed", found, advice)
        elif rule in warnings:
            yield Finding(rule, "warning", kept[rule], advice)
        elif rule in kept:
            yield Finding(rule, "ok", kept[rule])


def _describe_play(seen: RandomPlay) -> dict[str, str]:
    """Returns what to say of each rule that is kept."""
    ended = len(seen.episodes)
    episodes = f"none ended within {seen.steps:,} steps"
    if ended:
        truncated = sum(episode.is_cut for episode in seen.episodes)
        length = np.mean([episode.length for episode in seen.episodes])
        mean = np.mean([episode.episode_return for episode in seen.episodes])
        episodes = (
            f"{ended:,} ended: {ended - truncated:,} by termination, {truncated:,} by "
            f"truncation; mean length {length:.4g}, mean return {mean:.4g}"
        )
    return {
        "steps": f"{seen.steps:,} random actions",
        "observations": "all have the shapes and kinds of the spec",
        "bounds": "the bounds of the spec hold",
        "finite numbers": "no NaN, no infinity in observations",
        "action masks": "each allows an action wherever one follows",
        "rewards": f"from {seen.low:.4g} to {seen.high:.4g}",
        "discounts": "from 0 to 1",
        "episodes": episodes,
        "resets": f"{ended:,} after the end of an episode",
    }


def _judge_trajectories(
    uri: str, args: Mapping[str, Any], steps: int, seed: int, first: list[bytes]
) -> Iterator[Finding]:
    """Yields the findings about seeding and about independence of instances."""

    def run(*seeds: int) -> list[list[bytes]]:
        with contextlib.ExitStack() as stack:
            environments: list[dm_env.Environment] = []
            for each in seeds:
                environments.append(make_environment(uri, args, each))
                stack.callback(close_quietly, environments[-1])
            plays = play(environments, [], min(steps, DIGESTS), seed)
        return [each.digests for each in plays]

    rule = "seeding"
    try:
        (again,), (other,) = run(seed), run(seed + 1)
        if place := _find_difference(first, again):
            found = f"the same seed gives other trajectories, from {place} on"
            yield Finding(rule, "failed", found, _SEED_ADVICE)
            return
        if first == other:
            found = f"the seeds {seed} and {seed + 1} give the same trajectory"
            advice = f"that is fine if nothing is random; if not: {_SEED_ADVICE}"
            yield Finding(rule, "warning", found, advice)
        else:
            found = f"the same seed, the same {len(first):,} answers; another, others"
            yield Finding(rule, "ok", found)
        rule = "independence"
        one, two = run(seed, seed + 1)
        if place := _find_difference(one, first) or _find_difference(two, other):
            found = f"next to another instance it differs, from {place} on"
            yield Finding(rule, "failed", found, _INSTANCE_ADVICE)
        else:
            found = "two instances in turns play what each plays alone"
            yield Finding(rule, "ok", found)
    except ConfigError as error:
        found = f"another instance cannot be made: {error}"
        yield Finding(rule, "failed", found, _INSTANCE_ADVICE)


def _find_difference(one: list[bytes], other: list[bytes]) -> str | None:
    for index, (a, b) in enumerate(itertools.zip_longest(one, other)):
        if a != b:
            return f"answer {index:,}" if index else "the first reset"
    return None


def _judge_memory(seen: RandomPlay) -> Iterator[Finding]:
    if len(seen.memory) < 2:
        return
    grown = (seen.memory[1] - seen.memory[0]) / _MIB
    found = f"{max(grown, 0.0):.1f} MiB more after {seen.steps:,} steps"
    if grown <= _ALLOWED_MIB:
        yield Finding("memory", "ok", found)
        return
    yield Finding(
        "memory",
        "warning",
        f"{found}, allowed {_ALLOWED_MIB:g}",
        "look for a list that grows with every step; with more steps (--steps), memory "
        "that is only filled once stops growing",
    )

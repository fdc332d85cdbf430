"""The report of `distrl check-env`: the rules that an environment must keep."""

import contextlib
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import cloudpickle
import dm_env
import numpy as np
import tree

from distrl.environments.making import (
    adapt_environment,
    build_environment,
    close_quietly,
    make_environment,
)
from distrl.environments.random_play import RandomPlay, play
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
    """Yields one finding per rule, as soon as it is known.

    Takes the arguments of `make_environment`; `seed` also draws the `steps` random
    actions. Raises ConfigError if the environment does not exist or cannot be built.
    """
    begun = time.perf_counter()
    built = build_environment(uri, args, seed)
    seconds = time.perf_counter() - begun
    name = f"{type(built).__module__}.{type(built).__qualname__}"
    yield Finding("builds", "ok", f"{name}, in {seconds:.2g} s")
    with contextlib.ExitStack() as open_ones:
        open_ones.callback(close_quietly, built)
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
        yield from _judge_play(seen)
        open_ones.pop_all()
        yield from _attempt("close", uri, environment.close, lambda _: "it closes")
    if len(seen.digests) > 1:
        yield from _judge_trajectories(uri, args, steps, seed, seen.digests)
    yield _judge_launching(uri, spec)
    yield _judge_speed(seen)
    yield _judge_memory(seen)


def _attempt(
    rule: str, uri: str, read: Callable[[], Any], describe: Callable[[Any], str]
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
        text = f"{type(error).__name__}: {error}"
        yield Finding(rule, "failed", text, "this must not raise")
    return value


def _describe_spec(observation: Any) -> str:
    return ", ".join(
        f"{'/'.join(map(str, path))} {list(spec.shape)} {spec.dtype}".lstrip()
        for path, spec in tree.flatten_with_path(observation)
    )


def _judge_play(seen: RandomPlay) -> Iterator[Finding]:
    kept = _describe_play(seen)
    warnings = set()
    if seen.casts:
        kept["observations"] = f"{seen.casts.count:,} are of {seen.casts.text}"
        warnings.add("observations")
    if not seen.episodes:
        kept["episodes"] = f"none ended within {seen.steps:,} steps"
        kept["resets"] = "no episode ended"
        warnings |= {"episodes", "resets"}
    for rule, advice in _PLAY_ADVICE.items():
        fault = seen.faults.get(rule)
        if fault is not None:
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
    kept = {
        "steps": f"{seen.steps:,} random actions",
        "observations": f"{seen.observations:,} have the shapes and kinds of the spec",
        "bounds": "the bounds of the spec hold",
        "finite numbers": "no NaN, no infinity in observations",
        "rewards": "none",
        "discounts": "from 0 to 1",
        "resets": f"{ended:,} after the end of an episode",
    }
    if seen.has_mask:
        kept["action masks"] = "each allows an action wherever one follows"
    if seen.rewards is not None:
        kept["rewards"] = "from {:.4g} to {:.4g}".format(*seen.rewards)
    if ended:
        truncated = sum(episode.is_cut for episode in seen.episodes)
        length = np.mean([episode.length for episode in seen.episodes])
        mean = np.mean([episode.episode_return for episode in seen.episodes])
        kept["episodes"] = (
            f"{ended:,} ended: {ended - truncated:,} by termination, {truncated:,} by "
            f"truncation; mean length {length:.4g}, mean return {mean:.4g}"
        )
    return kept


def _judge_trajectories(
    uri: str, args: Mapping[str, Any], steps: int, seed: int, first: list[bytes]
) -> Iterator[Finding]:
    """Yields the findings about seeding and about independence of instances."""

    def run(*seeds: int) -> list[list[bytes]]:
        with contextlib.ExitStack() as open_ones:
            environments: list[dm_env.Environment] = []
            for each in seeds:
                environments.append(make_environment(uri, args, each))
                open_ones.callback(close_quietly, environments[-1])
            plays = play(environments, [], min(steps, len(first)), seed)
        return [each.digests[: len(first)] for each in plays]

    rule = "seeding"
    try:
        (again,), (other,) = run(seed), run(seed + 1)
        if first != again:
            place = _find_difference(first, again)
            found = f"the same seed gives other trajectories, from {place} on"
            yield Finding(rule, "failed", found, _SEED_ADVICE)
            found = "unknown: the same seed gives other trajectories anyway"
            yield Finding("independence", "warning", found, _SEED_ADVICE)
            return
        if first == other:
            found = f"the seeds {seed} and {seed + 1} give the same trajectory"
            advice = f"that is fine if nothing is random; if not: {_SEED_ADVICE}"
            yield Finding(rule, "warning", found, advice)
        else:
            found = f"the same seed, the same {len(first):,} answers; another, others"
            yield Finding(rule, "ok", found)
        rule = "independence"
        for alone, together in zip((first, other), run(seed, seed + 1), strict=True):
            if together != alone:
                place = _find_difference(together, alone)
                found = f"next to another instance it differs, from {place} on"
                yield Finding(rule, "failed", found, _INSTANCE_ADVICE)
                return
        found = "two instances in turns play what each plays alone"
        yield Finding(rule, "ok", found)
    except ConfigError as error:
        found = f"another instance cannot be made: {error}"
        yield Finding(rule, "failed", found, _INSTANCE_ADVICE)


def _find_difference(one: list[bytes], other: list[bytes]) -> str:
    pairs = zip(one, other, strict=False)
    index = next((i for i, (a, b) in enumerate(pairs) if a != b), len(one))
    return f"answer {index:,}" if index else "the first reset"


def _judge_launching(uri: str, observation: Any) -> Finding:
    try:
        data = cloudpickle.dumps(observation)
        cloudpickle.loads(data)
    except Exception as error:
        return Finding(
            "launching",
            "failed",
            f"the spec cannot be pickled: {type(error).__name__}: {error}",
            "nodes are sent the observation spec: make it of dm_env.specs arrays only, "
            "without locks, files or handles",
        )
    found = f"the spec pickles, {len(data):,} bytes"
    name = find_module(uri)
    if name is not None:
        file = getattr(sys.modules[name], "__file__", None) or "without a file"
        found += f"; every node imports {name} ({file})"
    return Finding("launching", "ok", found)


def _judge_speed(seen: RandomPlay) -> Finding:
    if not seen.steps:
        return Finding("speed", "warning", "no step was taken", "see steps")
    per_step = seen.seconds / seen.steps
    found = f"{1 / per_step:,.0f} steps/s, {1e6 * per_step:.3g} us a step with resets"
    return Finding("speed", "ok", found)


def _judge_memory(seen: RandomPlay) -> Finding:
    if len(seen.memory) < 2:
        return Finding("memory", "warning", "unknown: too few steps", "see steps")
    grown = (seen.memory[1] - seen.memory[0]) / _MIB
    found = f"{max(grown, 0.0):.1f} MiB more after {seen.steps:,} steps"
    if grown <= _ALLOWED_MIB:
        return Finding("memory", "ok", found)
    return Finding(
        "memory",
        "warning",
        f"{found}, allowed {_ALLOWED_MIB:g}",
        "look for a list that grows with every step; with more steps (--steps), memory "
        "that is only filled once stops growing",
    )

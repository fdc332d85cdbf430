"""The report of `distrl check-env`: the rules that an environment must keep."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    is_gymnasium,
    make_environment,
)
from distrl.environments.random_play import Play, play, trace
from distrl.environments.spec import convert_observation_spec, count_actions
from distrl.environments.suites import find_module
from distrl.environments.value_checks import Leaf, make_leaves
from distrl.errors import ConfigError
from distrl.findings import Finding

# Steps per environment over which trajectories are compared.
_TRACE_STEPS = 500
_MIB = 2**20
# Python and NumPy allocate memory in pieces: smaller increases are not leaks.
_ALLOWED_MIB = 8.0

# The rules of random play: the message if kept, and the advice if broken.
_PLAY_RULES = {
    "steps": (
        "{steps:,} random actions",
        "such a fault ends an actor's run; fix what is named",
    ),
    "observations": (
        "{observations:,} have the shapes and kinds of the spec",
        "return what the spec or space says, or make it say what is returned",
    ),
    "bounds": (
        "the bounds of the spec hold",
        "widen the bounds of the spec or space; where they are only a guess, leave "
        "them out: specs.Array, or Box(-np.inf, np.inf)",
    ),
    "finite numbers": (
        "no NaN, no infinity in observations",
        "find where it comes from: after a single one, a network returns only NaN",
    ),
    "action masks": (
        "each allows an action wherever one follows",
        "allow at least one action in every state in which an episode continues",
    ),
    "rewards": ("{rewards}", "return a finite number with every step"),
    "discounts": (
        "from 0 to 1",
        "return 0 where the episode terminates and 1 elsewhere; distrl applies gamma "
        "itself",
    ),
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
        actions, num_actions = _attempt("actions", uri, lambda: _count(built, uri))
        spec, observation = _attempt(
            "observation spec", uri, lambda: _read_spec(built, uri, num_actions)
        )
        yield actions or Finding("actions", "ok", f"{num_actions} discrete ones")
        yield spec or Finding("observation spec", "ok", _describe(observation))
        if num_actions is None or (observation is None and is_gymnasium(built)):
            return
        environment = adapt_environment(built, uri, seed)
        leaves = []
        if observation is not None:
            # The space checked above does not include a mask in `info`.
            own = environment.observation_spec()
            failed, observation = _attempt(
                "action masks",
                uri,
                lambda: convert_observation_spec(own, uri, num_actions),
            )
            if failed is not None:
                yield failed
                return
            leaves = make_leaves(observation, own)
        seen = play(environment, leaves, steps, seed)
        yield from _judge_play(seen, leaves)
        open_ones.pop_all()
        closing, _ = _attempt("close", uri, environment.close)
        yield closing or Finding("close", "ok", "it closes")
    # A step that raised would raise again.
    length = min(seen.steps if seen.is_whole else seen.steps - 1, _TRACE_STEPS)
    if length > 0:
        yield from judge_trajectories(uri, args, length, seed)
    if observation is not None:
        yield _judge_launching(uri, observation)
    yield _judge_speed(seen)
    yield _judge_memory(seen)


def _judge_play(seen: Play, leaves: Sequence[Leaf]) -> Iterator[Finding]:
    skipped = set()
    if not leaves:
        skipped |= {"observations", "bounds", "finite numbers"}
    if not any(leaf.path == (ACTION_MASK,) for leaf in leaves):
        skipped.add("action masks")
    rewards = "none"
    if seen.rewards is not None:
        rewards = "from {:.4g} to {:.4g}".format(*seen.rewards)
    for rule, (text, advice) in _PLAY_RULES.items():
        found = text.format(
            steps=seen.steps, observations=seen.observations, rewards=rewards
        )
        if rule == "observations" and rule not in seen.faults and seen.casts:
            found = f"{seen.casts.count:,} are of {seen.casts.text}"
            advice = "distrl casts them in every step: return the dtype of the spec"
            yield Finding(rule, "warning", found, advice)
        elif rule not in skipped:
            yield _judge(seen, rule, found, advice)
    yield _judge_episodes(seen)
    if seen.returns or "resets" in seen.faults:
        yield _judge(
            seen,
            "resets",
            f"{seen.resets:,} after the end of an episode",
            "let reset() begin an episode at any time, with a first time step",
        )
    else:
        yield Finding("resets", "warning", "no episode ended", "see episodes")


def _judge_episodes(seen: Play) -> Finding:
    count = len(seen.returns)
    if not count:
        return Finding(
            "episodes",
            "warning",
            f"none ended within {seen.steps:,} steps",
            "try more (--steps); an evaluation cuts off an episode that has not ended "
            "after evaluation.max_episode_steps: set that to what an episode may take",
        )
    return Finding(
        "episodes",
        "ok",
        f"{count:,} ended: {count - seen.truncations:,} by termination, "
        f"{seen.truncations:,} by truncation; mean length "
        f"{np.mean(seen.lengths):.4g}, mean return {np.mean(seen.returns):.4g}",
    )


def judge_trajectories(
    uri: str, args: Mapping[str, Any], steps: int, seed: int
) -> Iterator[Finding]:
    """Yields the findings about seeding and about independence of instances."""

    def run(*seeds: int) -> list[list[bytes]]:
        environments: list[dm_env.Environment] = []
        try:
            for each in seeds:
                environments.append(make_environment(uri, args, each))
            return trace(environments, steps, seed)
        finally:
            for environment in environments:
                close_quietly(environment)

    rule, what = "seeding", "another instance fails"
    try:
        (first,), (again,), (other,) = run(seed), run(seed), run(seed + 1)
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
            found = f"the same seed, the same {steps:,} steps; another seed, others"
            yield Finding(rule, "ok", found)
        rule, what = "independence", "two instances at a time fail"
        for trajectory, alone in zip(run(seed, seed + 1), (first, other), strict=True):
            if trajectory != alone:
                place = _find_difference(trajectory, alone)
                found = f"beside another instance it takes another course, from {place}"
                yield Finding(rule, "failed", f"{found} on", _INSTANCE_ADVICE)
                return
        found = "two instances in turns play what each plays alone"
        yield Finding(rule, "ok", found)
    except Exception as error:
        found = f"{what}: {type(error).__name__}: {error}"
        yield Finding(rule, "failed", found, _INSTANCE_ADVICE)


def _judge_launching(uri: str, observation: Any) -> Finding:
    try:
        size = len(cloudpickle.dumps(observation))
        cloudpickle.loads(cloudpickle.dumps(observation))
    except Exception as error:
        return Finding(
            "launching",
            "failed",
            f"the spec cannot be pickled: {type(error).__name__}: {error}",
            "nodes are sent the observation spec: make it of dm_env.specs arrays only, "
            "without locks, files or handles",
        )
    found = f"the spec pickles, {size:,} bytes"
    name = find_module(uri)
    if name is not None:
        file = getattr(sys.modules[name], "__file__", None) or "without a file"
        found += f"; every node imports {name} ({file})"
    return Finding("launching", "ok", found)


def _judge_speed(seen: Play) -> Finding:
    if not seen.steps or not seen.seconds:
        return Finding("speed", "warning", "no step was taken", "see steps")
    per_step = seen.seconds / seen.steps
    found = f"{1 / per_step:,.0f} steps/s, {1e6 * per_step:.3g} us a step with resets"
    return Finding("speed", "ok", found)


def _judge_memory(seen: Play) -> Finding:
    if seen.warm_memory is None or seen.last_memory is None:
        return Finding("memory", "warning", "unknown: too few steps", "see steps")
    grown = (seen.last_memory - seen.warm_memory) / _MIB
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


def _count(built: Any, uri: str) -> int:
    if is_gymnasium(built):
        from distrl.environments.gymnasium_suite import read_action_space

        return read_action_space(built, uri)
    return count_actions(built.action_spec(), uri)


def _read_spec(built: Any, uri: str, num_actions: int | None) -> Any:
    if is_gymnasium(built):
        from distrl.environments.gymnasium_suite import read_observation_space

        own = read_observation_space(built, uri)
    else:
        own = built.observation_spec()
    return convert_observation_spec(own, uri, num_actions)


def _attempt(
    rule: str, uri: str, read: Callable[[], Any]
) -> tuple[Finding | None, Any]:
    """Returns `(finding, None)` if `read` raises, else `(None, result)`."""
    try:
        return None, read()
    except ConfigError as error:
        # The advice follows the first semicolon.
        found, _, advice = str(error).partition("; ")
        found = found.removeprefix(f"environment {uri!r} has ")
        return Finding(rule, "failed", found, advice), None
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
        advice = "this must not raise"
        return Finding(rule, "failed", found, advice), None


def _describe(observation: Any) -> str:
    return ", ".join(
        f"{'/'.join(map(str, path))} {list(spec.shape)} {spec.dtype}".lstrip()
        for path, spec in tree.flatten_with_path(observation)
    )


def _judge(seen: Play, rule: str, found: str, advice: str) -> Finding:
    fault = seen.faults.get(rule)
    if fault is None:
        return Finding(rule, "ok", found)
    where = f"at step {fault.step:,}" if fault.step else "at the first reset"
    times = f" (and {fault.count - 1:,} times more)" if fault.count > 1 else ""
    return Finding(rule, "failed", f"{where}: {fault.text}{times}", advice)


def _find_difference(one: list[bytes], other: list[bytes]) -> str:
    pairs = zip(one, other, strict=False)
    index = next((i for i, (a, b) in enumerate(pairs) if a != b), len(one))
    return f"answer {index:,}" if index else "the first reset"

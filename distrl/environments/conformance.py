"""The rules that an environment keeps so that distrl can learn in it."""

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
from distrl.environments.actions import count_actions
from distrl.environments.random_play import Play, play
from distrl.environments.reading import Leaf, find_leaves
from distrl.environments.registry import (
    adapt_environment,
    build_environment,
    close_quietly,
    find_module,
    is_gymnasium,
)
from distrl.environments.spec import convert_observation_spec
from distrl.environments.trajectories import judge_trajectories
from distrl.errors import ConfigError
from distrl.findings import Finding

# The steps of one environment in which trajectories are compared.
_TRACE_STEPS = 500
_MIB = 2**20
# Python and NumPy take memory in pieces: less than this is no growth.
_ALLOWED_MIB = 8.0


def check_environment(
    uri: str, args: Mapping[str, Any], steps: int, seed: int
) -> Iterator[Finding]:
    """Yields a finding for each rule, as soon as there is one.

    Args:
      uri: as for `make_environment`.
      args: keyword arguments beside those in the URI.
      steps: the random actions that are taken.
      seed: of the environment and of the actions.

    Raises:
      ConfigError: there is no such environment, or it cannot be built.
    """
    begun = time.perf_counter()
    built = build_environment(uri, args, seed)
    seconds = time.perf_counter() - begun
    name = f"{type(built).__module__}.{type(built).__qualname__}"
    yield Finding("builds", "ok", f"{name}, in {seconds:.2g} s")
    with contextlib.ExitStack() as open_ones:
        open_ones.callback(close_quietly, built)
        actions, num_actions = _judge_actions(built, uri)
        observation_spec, observation = _judge_spec(built, uri, num_actions)
        yield actions
        yield observation_spec
        if num_actions is None or (observation is None and is_gymnasium(built)):
            return
        environment = adapt_environment(built, uri, seed)
        leaves = []
        if observation is not None:
            # A mask in `info` is not in the space that was judged.
            own = environment.observation_spec()
            observation, error = _attempt(
                lambda: convert_observation_spec(own, uri, num_actions), uri
            )
            if error is not None:
                yield Finding("action masks", "failed", *error)
                return
            leaves = find_leaves(observation, own)
        seen = play(environment, leaves, steps, seed)
        yield from judge_play(seen, leaves)
        open_ones.pop_all()
        yield _judge_close(environment)
    # What raised would raise again.
    length = min(seen.steps if seen.is_whole else seen.steps - 1, _TRACE_STEPS)
    if length > 0:
        yield from judge_trajectories(uri, args, length, seed)
    if observation is not None:
        yield judge_launching(uri, observation)
    yield judge_speed(seen)
    yield judge_memory(seen)


def judge_play(seen: Play, leaves: Sequence[Leaf]) -> Iterator[Finding]:
    """Yields the findings about what an environment answered under random actions.

    Args:
      seen: the answers.
      leaves: the arrays that an observation has to hold; none if that is not known.
    """
    is_masked = any(leaf.path == (ACTION_MASK,) for leaf in leaves)
    rewards = "none"
    if seen.rewards is not None:
        rewards = "from {:.4g} to {:.4g}".format(*seen.rewards)
    rules = (
        (
            "steps",
            f"{seen.steps:,} random actions",
            "an actor ends its run on this; fix what is named",
        ),
        (
            "observations",
            f"{seen.observations:,} have the shapes and kinds of the spec",
            "return what the spec or space says, or make it say what is returned",
        ),
        (
            "bounds",
            "the bounds of the spec hold",
            "widen the bounds of the spec or space; where they are only a guess, leave "
            "them out: specs.Array, or Box(-np.inf, np.inf)",
        ),
        (
            "finite numbers",
            "no NaN, no infinity in observations",
            "find where it comes from: a network that sees one has none but NaN left",
        ),
        (
            "action masks",
            "each allows an action, wherever one follows",
            "allow at least one action in every state in which an episode goes on",
        ),
        ("rewards", rewards, "return a finite number with every step"),
        (
            "discounts",
            "from 0 to 1",
            "return 0 where the episode terminates and 1 elsewhere; distrl applies "
            "gamma itself",
        ),
    )
    for rule, found, advice in rules:
        if not leaves and rule in ("observations", "bounds", "finite numbers"):
            continue
        if rule == "action masks" and not is_masked:
            continue
        finding = _judge(seen, rule, found, advice)
        if rule == "observations" and finding.state == "ok" and seen.casts is not None:
            yield _warn_of_casts(seen)
        else:
            yield finding
    yield judge_episodes(seen)
    if seen.returns or "resets" in seen.faults:
        yield _judge(
            seen,
            "resets",
            f"{seen.resets:,} after the end of an episode",
            "let reset() begin an episode at any time, with a first time step",
        )
    else:
        yield Finding("resets", "warning", "none after an end was seen", "see episodes")


def judge_episodes(seen: Play) -> Finding:
    """Returns the finding about the ends of episodes."""
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


def judge_launching(uri: str, observation: Any) -> Finding:
    """Returns the finding about what nodes need: a spec that travels, and the module.

    Args:
      uri: of the environment, which was built.
      observation: the spec, a nest of arrays.
    """
    try:
        size = len(cloudpickle.dumps(observation))
        cloudpickle.loads(cloudpickle.dumps(observation))
    except Exception as error:
        return Finding(
            "launching",
            "failed",
            f"the spec cannot be pickled: {type(error).__name__}: {error}",
            "nodes are sent the observation spec: make it of dm_env.specs arrays "
            "alone, which hold no locks, files or handles",
        )
    found = f"the spec pickles, {size:,} bytes"
    name = find_module(uri)
    if name is not None:
        file = getattr(sys.modules[name], "__file__", None) or "of no file"
        found += f"; every node imports {name} ({file})"
    return Finding("launching", "ok", found)


def judge_speed(seen: Play) -> Finding:
    """Returns what the environment's own calls cost; it is information alone."""
    if not seen.steps or not seen.seconds:
        return Finding("speed", "warning", "no step was taken", "see steps")
    per_step = seen.seconds / seen.steps
    found = f"{1 / per_step:,.0f} steps/s, {1e6 * per_step:.3g} us a step with resets"
    return Finding("speed", "ok", found)


def judge_memory(seen: Play) -> Finding:
    """Returns the finding about memory that was taken after the warm-up."""
    if seen.warm_memory is None or seen.last_memory is None:
        return Finding("memory", "warning", "not told: too few steps", "see steps")
    grown = (seen.last_memory - seen.warm_memory) / _MIB
    found = f"{max(grown, 0.0):.1f} MiB more after {seen.steps:,} steps"
    if grown <= _ALLOWED_MIB:
        return Finding("memory", "ok", found)
    return Finding(
        "memory",
        "warning",
        f"{found}, allowed {_ALLOWED_MIB:g}",
        "look for a list that grows with every step; try more (--steps): what is only "
        "filled once stops growing",
    )


def _judge_actions(built: Any, uri: str) -> tuple[Finding, int | None]:
    def count() -> int:
        if is_gymnasium(built):
            from distrl.environments.gymnasium_suite import read_action_space

            return read_action_space(built, uri)
        return count_actions(built.action_spec(), uri)

    number, error = _attempt(count, uri)
    if error is not None:
        return Finding("actions", "failed", *error), None
    return Finding("actions", "ok", f"{number} discrete ones"), number


def _judge_spec(built: Any, uri: str, num_actions: int | None) -> tuple[Finding, Any]:
    def read() -> Any:
        if is_gymnasium(built):
            from distrl.environments.gymnasium_suite import read_observation_space

            own = read_observation_space(built, uri)
        else:
            own = built.observation_spec()
        return convert_observation_spec(own, uri, num_actions)

    observation, error = _attempt(read, uri)
    if error is not None:
        return Finding("observation spec", "failed", *error), None
    parts = [
        f"{'/'.join(map(str, path))} {list(spec.shape)} {spec.dtype}".lstrip()
        for path, spec in tree.flatten_with_path(observation)
    ]
    return Finding("observation spec", "ok", ", ".join(parts)), observation


def _attempt(read: Callable[[], Any], uri: str) -> tuple[Any, tuple[str, str] | None]:
    """Returns what `read` returns, and if it raises what was found and the advice."""
    try:
        return read(), None
    except ConfigError as error:
        # Its sentences behind the first semicolon say what to do.
        found, _, advice = str(error).partition("; ")
        return None, (found.removeprefix(f"environment {uri!r} has "), advice)
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
        return None, (found, "it is asked for before any step; it must not raise")


def _judge(seen: Play, rule: str, found: str, advice: str) -> Finding:
    fault = seen.faults.get(rule)
    if fault is None:
        return Finding(rule, "ok", found)
    where = f"at step {fault.step:,}" if fault.step else "at the first reset"
    times = f" (and {fault.count - 1:,} times more)" if fault.count > 1 else ""
    return Finding(rule, "failed", f"{where}: {fault.text}{times}", advice)


def _warn_of_casts(seen: Play) -> Finding:
    assert seen.casts is not None
    return Finding(
        "observations",
        "warning",
        f"{seen.casts.count:,} are of {seen.casts.text}",
        "distrl makes them fit, which costs time in every step: return the dtype of "
        "the spec",
    )


def _judge_close(environment: dm_env.Environment) -> Finding:
    try:
        environment.close()
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
        return Finding("close", "failed", found, "close() is called once, at the end")
    return Finding("close", "ok", "it closes")

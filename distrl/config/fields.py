"""The fields of the configuration tree by their dotted names, and their ranges."""

import dataclasses
import functools
import math
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from distrl.config.schema import Config
from distrl.errors import ConfigError, find_nearest, offer

# What TensorFlow and Reverb count totals with, and sizes.
_LARGEST = 2**63 - 1
_LARGEST_SIZE = 2**31 - 1
# 30 years: the clocks of Python and Linux cannot wait much longer.
_LONGEST_SECONDS = 10**9


@dataclass(frozen=True)
class Range:
    """The numbers that a field takes.

    Attributes:
      low: the smallest.
      high: the largest.
      above_low: whether `low` itself is left out.
    """

    low: float = -math.inf
    high: float = math.inf
    above_low: bool = False

    def contains(self, number: float) -> bool:
        """Whether a number is finite and in the range."""
        if isinstance(number, float) and not math.isfinite(number):
            return False
        above = number > self.low if self.above_low else number >= self.low
        return above and number <= self.high

    def describe(self) -> str:
        """Returns the range in words, for example `from 0 to 1`."""
        low, high = f"{self.low}", f"{self.high}"
        if self.low == -math.inf and self.high == math.inf:
            return ""
        # Named only to somebody who has exceeded it.
        if self.high >= _LONGEST_SECONDS:
            return f"above {low}" if self.above_low else f"at least {low}"
        return f"above {low}, up to {high}" if self.above_low else f"{low} to {high}"


_COUNT = Range(low=1, high=_LARGEST)
_SIZE = Range(low=1, high=_LARGEST_SIZE)
_POSITIVE = Range(low=0, above_low=True)
_SECONDS = Range(low=0, high=_LONGEST_SECONDS, above_low=True)
_PROBABILITY = Range(low=0, high=1)

RANGES: Mapping[str, Range] = types.MappingProxyType(
    {
        "seed": Range(low=0, high=2**31 - 1),
        "network.noisy_sigma": Range(low=0),
        "network.core_size": _SIZE,
        "actor.count": _SIZE,
        "actor.environments": _SIZE,
        "actor.environment_processes": Range(low=0, high=_LARGEST_SIZE),
        "actor.discount": _PROBABILITY,
        "actor.n_step": _SIZE,
        "actor.fetch_seconds": _SECONDS,
        "actor.max_abs_reward": _POSITIVE,
        "actor.exploration.epsilon": _PROBABILITY,
        "actor.exploration.initial_epsilon": _PROBABILITY,
        "actor.exploration.decay_env_steps": _COUNT,
        "actor.exploration.apex_base": Range(low=0, high=1, above_low=True),
        "actor.exploration.apex_alpha": Range(low=0),
        "actor.exploration.temperature": _POSITIVE,
        "replay.shards": _SIZE,
        "replay.capacity": _SIZE,
        "replay.min_size": _SIZE,
        "replay.samples_per_insert": _POSITIVE,
        "replay.error_buffer": _POSITIVE,
        "replay.transitions_per_item": _SIZE,
        "replay.frame_stack": Range(low=2, high=_LARGEST_SIZE),
        "replay.sequence_length": _SIZE,
        "replay.sequence_period": _SIZE,
        "replay.shuffle_steps": Range(low=0, high=_LARGEST_SIZE),
        "replay.priority_exponent": Range(low=0),
        "replay.priority_epsilon": Range(low=0),
        "replay.importance_exponent": _PROBABILITY,
        "replay.prefetch": _SIZE,
        "learner.devices": _SIZE,
        "learner.batch_size": _SIZE,
        "learner.steps_per_dispatch": _SIZE,
        "learner.learning_rate": _POSITIVE,
        "learner.max_gradient_norm": _POSITIVE,
        "learner.target_update_period": _SIZE,
        "learner.target_update_rate": Range(low=0, high=1, above_low=True),
        "learner.publish_period": _COUNT,
        "learner.metrics_period": _COUNT,
        "variables.relays": Range(low=0, high=_LARGEST_SIZE),
        "variables.stale_seconds": _SECONDS,
        "loss.huber_delta": _POSITIVE,
        "loss.max_abs_td_gradient": _POSITIVE,
        "loss.num_atoms": Range(low=2, high=_LARGEST_SIZE),
        "loss.v_min": Range(),
        "loss.v_max": Range(),
        "loss.num_quantiles": _SIZE,
        "loss.tau_samples": _SIZE,
        "loss.target_tau_samples": _SIZE,
        "loss.policy_tau_samples": _SIZE,
        "loss.munchausen_alpha": _PROBABILITY,
        "loss.munchausen_temperature": _POSITIVE,
        "loss.munchausen_clip": Range(high=0),
        "loss.burn_in": Range(low=0, high=_LARGEST_SIZE),
        "loss.q_lambda": _PROBABILITY,
        "loss.priority_mix": _PROBABILITY,
        "evaluation.episodes": _SIZE,
        "evaluation.environments": _SIZE,
        "evaluation.environment_processes": Range(low=0, high=_LARGEST_SIZE),
        "evaluation.max_episode_steps": _COUNT,
        "evaluation.epsilon": _PROBABILITY,
        "evaluation.period": _COUNT,
        "stop.env_steps": _COUNT,
        "stop.learner_steps": _COUNT,
        "stop.episodes": _COUNT,
        "stop.seconds": _SECONDS,
        "stop.evaluation_return": Range(),
        "checkpoint.period_seconds": _SECONDS,
        "checkpoint.period_learner_steps": _COUNT,
        "checkpoint.keep": _COUNT,
        "checkpoint.save_seconds": _SECONDS,
        "launch.check_seconds": _SECONDS,
        "launch.start_seconds": _SECONDS,
        "launch.stop_seconds": _SECONDS,
        "launch.report_seconds": _SECONDS,
        "launch.metrics_seconds": _SECONDS,
        "launch.log_mib": _COUNT,
        "launch.silent_seconds": _SECONDS,
        "launch.rpc_seconds": _SECONDS,
        "launch.connect_seconds": _SECONDS,
        "launch.max_restarts": Range(low=0, high=_LARGEST),
        "launch.restart_window_seconds": _SECONDS,
        "launch.restart_delay_seconds": Range(low=0, high=_LONGEST_SECONDS),
        "sweep.jobs": _SIZE,
        "sweep.episodes": _COUNT,
    }
)
"""The range of every number in the tree."""


@dataclass(frozen=True)
class Field:
    """A leaf of the configuration tree.

    Attributes:
      name: the dotted name, for example `learner.batch_size`.
      kind: its type without `Optional`: a type, a `Literal` or `dict[str, Any]`.
      optional: whether null is a value of it.
    """

    name: str
    kind: Any
    optional: bool

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of a `Literal`; none for other types."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    @property
    def is_mapping(self) -> bool:
        """Whether it takes names of the user's own."""
        return get_origin(self.kind) is dict

    def describe(self) -> str:
        """Returns in words what the field takes, for example `true or false`."""
        if self.choices:
            text = "one of " + ", ".join(self.choices)
        else:
            text = {
                bool: "true or false",
                int: "a whole number",
                float: "a finite number",
                str: "text",
            }.get(self.kind, "a mapping of names to values")
            if self.kind in (int, float):
                shown = RANGES[self.name].describe()
                text += f", {shown}" if shown else ""
        return text + (", or null" if self.optional else "")


@functools.cache
def list_fields() -> Mapping[str, Field]:
    """Returns the leaves of the tree by their dotted names, in the tree's order."""
    return {field.name: field for field in _walk(Config, "")}


@functools.cache
def list_sections() -> Mapping[str, type]:
    """Returns the dataclasses inside the tree by their dotted names."""
    return dict(_walk_sections(Config, ""))


def refuse_name(name: str, value: Any) -> ConfigError:
    """Returns the error for a field that does not exist, with the nearest one."""
    section = name.rpartition(".")[0]
    if section in list_fields():
        return ConfigError(
            f"{name} = {show_value(value)}: there is no such field; "
            f"{section} takes {list_fields()[section].describe()}."
        )
    while section and section not in list_sections():
        section = section.rpartition(".")[0]
    cls = list_sections()[section] if section else Config
    here = ", ".join(field.name for field in dataclasses.fields(cls))
    where = f"The fields of {section}" if section else "The fields"
    return ConfigError(
        f"{name} = {show_value(value)}: there is no such field."
        f"{offer(*_find_nearest_fields(name, section))} {where} are {here}."
    )


def show_value(value: Any) -> str:
    """Returns a value as a message names it: like YAML, on one line, not long."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    try:
        text = repr(value)
    except ValueError:  # Python does not print whole numbers of 4301 digits.
        return "a number too long to show"
    return text if len(text) <= 80 else text[:77] + "..."


def _find_nearest_fields(name: str, section: str) -> list[str]:
    """Returns the fields that `name` may have been meant to be.

    Args:
      name: the dotted name that is wrong.
      section: the part of it that is right.
    """
    names = [*list_fields(), *list_sections()]
    above, _, tail = name.rpartition(".")
    by_tail: dict[str, list[str]] = {}
    for each in names:
        by_tail.setdefault(each.rpartition(".")[2], []).append(each)
    ending = [each for each in names if each.endswith(f".{name}")]
    beginning = [each for each in list_fields() if each.startswith(name)]
    for found in (ending, by_tail.get(tail), beginning):
        if found and len(found) <= 3:
            return found
    if above != section:
        nearest = find_nearest(name, names)
        if nearest is not None:
            return [nearest]
    nearest = find_nearest(tail, by_tail)
    if nearest is None:
        return []
    here = _join(section, nearest)
    return [here] if here in by_tail[nearest] else by_tail[nearest]


def _join(section: str, name: str) -> str:
    return f"{section}.{name}" if section else name


def _walk(cls: type, prefix: str) -> list[Field]:
    found = []
    for field in dataclasses.fields(cls):
        name = prefix + field.name
        kind: Any = field.type
        if dataclasses.is_dataclass(kind):
            found += _walk(kind, name + ".")  # type: ignore[arg-type]
            continue
        is_union = get_origin(kind) in (Union, types.UnionType)
        optional = is_union and type(None) in get_args(kind)
        if optional:
            (kind,) = (each for each in get_args(kind) if each is not type(None))
        found.append(Field(name, kind, optional))
    return found


def _walk_sections(cls: type, prefix: str) -> list[tuple[str, type]]:
    found = []
    for field in dataclasses.fields(cls):
        if dataclasses.is_dataclass(field.type):
            name = prefix + field.name
            found.append((name, field.type))
            found += _walk_sections(field.type, name + ".")  # type: ignore[arg-type]
    return found  # type: ignore[return-value]

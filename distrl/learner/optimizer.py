"""Optimizers and learning-rate schedules of Optax by name, and a user's optimizers.

An optimizer is a function of `optax` or `optax.contrib`, or of the user, whose first
argument is the learning rate and whose update needs only gradients and parameters. A
schedule is a function of `optax.schedules` whose first argument is its initial value.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

import jax
import optax

from distrl.config.factories import check_keywords, load_factory
from distrl.config.schema import LearnerConfig
from distrl.errors import ConfigError, suggest
from distrl.types import Nest

_OPTIMIZER, _SCHEDULE = "learner.optimizer", "learner.schedule"
_MASKS = ("mask", "weight_decay_mask")


def make_optimizer(
    config: LearnerConfig, params: Nest = None
) -> optax.GradientTransformation:
    """Returns the optimizer of a configuration, which first clips gradients.

    Schedules are called with the number of previous updates, so the first update uses
    their value at 0. Raises ConfigError if the optimizer or schedule does not exist,
    does not take the arguments, or cannot update `params`: the shapes of the network's
    parameters, on which an update is traced if they are given.
    """
    name = config.optimizer
    if ":" in name:
        factory = load_factory(f"{_OPTIMIZER}: {name!r}", name)
    else:
        known = _list_functions(optax, "learning_rate")
        for each, function in _list_functions(optax.contrib, "learning_rate").items():
            known[f"contrib.{each}"] = function
        factory = _pick(_OPTIMIZER, name, known)
    check_keywords("learner.optimizer_args", factory, config.optimizer_args)
    args = {**config.optimizer_args, **_make_mask(config, factory)}
    learning_rate = _make_learning_rate(config)
    try:
        optimizer = factory(learning_rate, **args)
        if params is not None:
            _check_update(optimizer, params)
    except Exception as error:
        scheduled = f" and the {_SCHEDULE} {config.schedule!r}"
        raise _explain_failure(
            f"{_OPTIMIZER}: {name!r}{scheduled if config.schedule else ''}", args, error
        ) from error
    if config.max_gradient_norm is None:
        return optimizer
    return optax.chain(optax.clip_by_global_norm(config.max_gradient_norm), optimizer)


def select_matrices(params: Nest) -> Nest:
    """Returns which parameters have two or more axes, which excludes biases."""
    return jax.tree.map(lambda x: x.ndim >= 2, params)


def _make_learning_rate(config: LearnerConfig) -> float | optax.Schedule:
    if config.schedule is None:
        if config.schedule_args:
            raise ConfigError(
                f"learner.schedule_args = {config.schedule_args!r}: learner.schedule "
                "is null, so nothing reads them; name a schedule there, for example "
                "cosine_decay_schedule, or remove them."
            )
        return config.learning_rate
    known = _list_functions(optax.schedules, "init_value", "value")
    factory = _pick(_SCHEDULE, config.schedule, known)
    check_keywords("learner.schedule_args", factory, config.schedule_args)
    args = {name: _read_steps(value) for name, value in config.schedule_args.items()}
    try:
        return factory(config.learning_rate, **args)
    except Exception as error:
        place = f"{_SCHEDULE}: {config.schedule!r}"
        raise _explain_failure(place, args, error) from error


def _read_steps(value: Any) -> Any:
    # A configuration has string keys; here they are numbers of steps.
    if not isinstance(value, dict):
        return value
    return {int(k) if k.isdecimal() else k: each for k, each in value.items()}


def _list_functions(module: Any, *first: str) -> dict[str, Callable[..., Any]]:
    """Returns a module's public functions whose first parameter is named in `first`."""
    found = {}
    for name, function in sorted(vars(module).items()):
        # `scale_by_...` are parts of optimizers; some of Optax's types are callable.
        is_function = isinstance(function, FunctionType | functools.partial)
        if not is_function or name.startswith(("_", "scale_by_")):
            continue
        if next(iter(_parameters(function)), None) in first:
            found[name] = function
    return found


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


def _pick(
    field: str, name: str, known: Mapping[str, Callable[..., Any]]
) -> Callable[..., Any]:
    if name in known:
        return known[name]
    own = " One of your own is package.module:factory." if field == _OPTIMIZER else ""
    raise ConfigError(
        f"{field} = {name!r}: Optax has none of that name that distrl can use."
        f"{suggest(name, known)} There are {', '.join(known)}.{own}"
    )


def _make_mask(config: LearnerConfig, factory: Callable[..., Any]) -> dict[str, Any]:
    for name in _MASKS:
        if name in config.optimizer_args:
            raise ConfigError(
                f"learner.optimizer_args = {config.optimizer_args!r}: set "
                f"learner.weight_decay_mask (all or matrices) instead of {name!r}."
            )
    if config.weight_decay_mask == "all":
        return {}
    for name in _MASKS:
        if name in _parameters(factory):
            return {name: select_matrices}
    raise ConfigError(
        f"learner.weight_decay_mask = {config.weight_decay_mask!r}: {_OPTIMIZER} = "
        f"{config.optimizer!r} has no weight decay to mask; set it to all, or use an "
        "optimizer with weight decay, for example adamw."
    )


def _check_update(optimizer: optax.GradientTransformation, params: Nest) -> None:
    """Traces an update as the learner makes it; any exception means unusable."""

    before = (params, jax.eval_shape(optimizer.init, params))
    for leaf in jax.tree.leaves(before):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            raise TypeError("its state holds a typed key, which checkpoints cannot")

    def update(held: tuple[Nest, Nest], _: None) -> tuple[tuple[Nest, Nest], None]:
        params, state = held
        updates, state = optimizer.update(params, state, params)
        return (optax.apply_updates(params, updates), state), None

    before = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), before)
    # The updates of a dispatch run in a scan, whose carry must keep its shape.
    jax.eval_shape(lambda held: jax.lax.scan(update, held, length=1), before)


def _explain_failure(
    place: str, args: Mapping[str, Any], error: Exception
) -> ConfigError:
    given = ", ".join(f"{name}={x!r}" for name, x in args.items() if not callable(x))
    # Optax's messages have several lines.
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return ConfigError(f"{place} failed with ({given}): {reason}")

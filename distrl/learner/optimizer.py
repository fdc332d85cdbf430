"""Optax optimizers and learning-rate schedules by name, and custom optimizers.

An optimizer is any function of `optax` or `optax.contrib` whose first argument is
`learning_rate` and whose update needs only gradients and parameters; a custom one is
called in the same way. A schedule is any function of `optax.schedules` whose first
argument is its initial value.
"""

import functools
import inspect
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from distrl.config.factories import check_keywords, load_factory
from distrl.config.schema import LearnerConfig
from distrl.errors import ConfigError, suggest

_MASK_ARGUMENTS = ("mask", "weight_decay_mask")
_SHAPES = {
    "b": jax.ShapeDtypeStruct((2,), jnp.float32),
    "w": jax.ShapeDtypeStruct((3, 2), jnp.float32),
}


def make_optimizer(
    config: LearnerConfig, params: Any = None
) -> optax.GradientTransformation:
    """Returns the optimizer of a configuration after tracing one update.

    Arguments that `optimizer_args` does not set have Optax's defaults. Schedules are
    called with the number of previous updates, so the first update uses their value
    at 0. Gradients are clipped first.

    Args:
      params: shapes of the network's parameters, for the traced update. Without them
        an Optax optimizer is traced on two arrays; a custom one is not, since it may
        depend on parameter names.

    Raises:
      ConfigError: the optimizer or schedule does not exist, does not take the
        arguments, or cannot be used here.
    """
    factory = _find_optimizer(config.optimizer)
    _check_args(config, factory)
    learning_rate = _make_learning_rate(config)
    args = {**config.optimizer_args, **_make_mask_args(config, factory)}
    try:
        optimizer = factory(learning_rate, **args)
        if not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
            raise TypeError(
                f"it returned a {type(optimizer).__name__}; it has to return an "
                "optax.GradientTransformation"
            )
        if params is not None or ":" not in config.optimizer:
            _try_out(optimizer, _SHAPES if params is None else params)
    except Exception as error:
        raise _explain_failure(config, factory, args, params, error) from error
    if config.max_gradient_norm is None:
        return optimizer
    return optax.chain(optax.clip_by_global_norm(config.max_gradient_norm), optimizer)


def select_matrices(params: Any) -> Any:
    """Returns which parameters have two or more axes, which excludes biases."""
    return jax.tree.map(lambda x: x.ndim >= 2, params)


def _make_learning_rate(config: LearnerConfig) -> float | optax.Schedule:
    args = config.schedule_args
    if config.schedule is None:
        if args:
            raise ConfigError(
                f"learner.schedule_args = {args!r}: learner.schedule is null, so "
                "nothing reads them; name a schedule there, for example "
                "cosine_decay_schedule, or remove them."
            )
        return config.learning_rate
    known = _find_functions(optax.schedules, ("init_value", "value"))
    if config.schedule not in known:
        raise _refuse_name("learner.schedule", config.schedule, "schedule", known)
    factory = known[config.schedule]
    first = next(iter(inspect.signature(factory).parameters))
    _refuse_first(config, "learner.schedule_args", args, first)
    check_keywords("learner.schedule_args", factory, args)
    args = {name: _read_steps(value) for name, value in args.items()}
    try:
        schedule = factory(config.learning_rate, **args)
        rate = jax.eval_shape(schedule, jnp.zeros((), jnp.int32))
        if rate.shape != ():
            raise ValueError(f"it gives the shape {rate.shape}, not a number")
    except Exception as error:
        raise ConfigError(
            f"learner.schedule: {config.schedule!r} failed with "
            f"{_show_args(args)}: {type(error).__name__}: {error}"
        ) from error
    return schedule


def _read_steps(value: Any) -> Any:
    # A configuration has string keys; here they are numbers of steps.
    if not isinstance(value, dict):
        return value
    return {int(k) if k.isdecimal() else k: each for k, each in value.items()}


def _find_optimizer(name: str) -> Callable[..., optax.GradientTransformation]:
    if ":" in name:
        return load_factory(f"learner.optimizer: {name!r}", name)
    first = ("learning_rate",)
    known = _find_functions(optax, first)
    contributed = _find_functions(optax.contrib, first)
    known.update({f"contrib.{each}": contributed[each] for each in contributed})
    if name in known:
        return known[name]
    usable = [each for each in known if _works_by_default(known[each])]
    own = " One of your own is package.module:factory."
    raise _refuse_name("learner.optimizer", name, "optimizer", usable, own)


def _find_functions(module: Any, first: tuple[str, ...]) -> dict[str, Callable]:
    """Returns a module's public functions whose first parameter is named in `first`."""
    found: dict[str, Callable] = {}
    for name in sorted(vars(module)):
        function = vars(module)[name]
        # `scale_by_...` are parts of optimizers.
        if name.startswith(("_", "scale_by_")) or inspect.isclass(function):
            continue
        if not callable(function):
            continue
        if next(iter(inspect.signature(function).parameters), None) in first:
            # For messages: some are partial functions, which have no __qualname__.
            named = functools.partial(function)
            named.__qualname__ = name  # type: ignore[attr-defined]
            found[name] = named
    return found


def _refuse_name(
    field: str, name: str, what: str, known: Iterable[str], own: str = ""
) -> ConfigError:
    return ConfigError(
        f"{field} = {name!r}: Optax has no {what} of that name that distrl can use."
        f"{suggest(name, known)} There are {', '.join(known)}.{own}"
    )


def _check_args(config: LearnerConfig, factory: Callable) -> None:
    field, args = "learner.optimizer_args", config.optimizer_args
    _refuse_first(config, field, args, "learning_rate")
    for name in _MASK_ARGUMENTS:
        if name in args:
            raise ConfigError(
                f"{field} = {args!r}: {name!r} cannot be given here; what is decayed "
                "is set by learner.weight_decay_mask, all or matrices."
            )
    check_keywords(field, factory, args)


def _refuse_first(
    config: LearnerConfig, field: str, args: dict[str, Any], first: str
) -> None:
    if first in args:
        raise ConfigError(
            f"{field} = {args!r}: {first!r} cannot be given here; it is "
            f"learner.learning_rate, which is {config.learning_rate:g}."
        )


def _make_mask_args(config: LearnerConfig, factory: Callable) -> dict[str, Any]:
    if config.weight_decay_mask == "all":
        return {}
    parameters = inspect.signature(factory).parameters
    for name in _MASK_ARGUMENTS:
        if name in parameters:
            return {name: select_matrices}
    decaying = [
        name
        for name, each in _find_functions(optax, ("learning_rate",)).items()
        if set(_MASK_ARGUMENTS) & set(inspect.signature(each).parameters)
    ]
    raise ConfigError(
        f"learner.weight_decay_mask = {config.weight_decay_mask!r}: learner.optimizer "
        f"= {config.optimizer!r} has no weight decay to mask; set it to all, or take "
        f"one of {', '.join(decaying)}."
    )


def _try_out(optimizer: optax.GradientTransformation, params: Any = _SHAPES) -> None:
    """Traces an update as the learner makes it; any exception means unusable."""
    state = jax.eval_shape(optimizer.init, params)
    for leaf in jax.tree.leaves(state):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            raise TypeError("its state holds a typed key, which checkpoints cannot")

    def update(params: Any, state: Any) -> tuple[Any, Any]:
        updates, state = optimizer.update(params, state, params)
        return optax.apply_updates(params, updates), state

    before = (params, state)
    after = jax.eval_shape(update, *before)
    # Updates run in a scan, whose carry must keep its shape.
    if _describe(after) != _describe(before):
        raise TypeError("an update changes the shape or dtype of its state")


def _describe(nest: Any) -> Any:
    leaves, structure = jax.tree.flatten(nest)
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves]


def _works_by_default(factory: Callable[..., optax.GradientTransformation]) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            _try_out(factory(1e-3))
        except Exception:
            return False
        return True


def _explain_failure(
    config: LearnerConfig,
    factory: Callable,
    args: dict[str, Any],
    params: Any,
    error: Exception,
) -> ConfigError:
    reason = _tell(error)
    if config.schedule is not None:
        try:
            _try_out(
                factory(config.learning_rate, **args),
                _SHAPES if params is None else params,
            )
        except Exception as other:
            reason = _tell(other)
        else:
            return ConfigError(
                f"learner.schedule = {config.schedule!r}: learner.optimizer = "
                f"{config.optimizer!r} takes no schedule; set learner.schedule to null."
            )
    is_own = ":" in config.optimizer
    if not args and not is_own and not _works_by_default(factory):
        return ConfigError(
            f"learner.optimizer = {config.optimizer!r}: distrl cannot use it, since "
            f"its updates take gradients and parameters alone, in a loop. {reason}"
        )
    return ConfigError(
        f"learner.optimizer: {config.optimizer!r} failed with {_show_args(args)}: "
        f"{reason}"
    )


def _tell(error: Exception) -> str:
    """Returns an error in one line; Optax's have several."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _show_args(args: dict[str, Any]) -> str:
    shown = (f"{name}={value!r}" for name, value in args.items() if not callable(value))
    return f"({', '.join(shown)})"

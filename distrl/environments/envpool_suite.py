"""The environments of EnvPool (arXiv 2206.10558): `envpool:Pong-v5`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from dm_env import specs

from distrl.environments.batch import Pool
from distrl.environments.gymnasium_suite import describe_space, import_gymnasium
from distrl.environments.spec import refuse_actions
from distrl.environments.suite import Address, Suite, check_option
from distrl.errors import ConfigError, suggest

# Arguments that users may not set, and what to do instead.
_REFUSED = {
    "num_envs": "set actor.environments and evaluation.environments",
    "episodic_life": (
        "an evaluation has to play whole games; set zero_discount_on_life_loss, with "
        "which a lost life has discount 0 and the game continues"
    ),
    "reward_clip": "an evaluation would have clipped returns; set actor.max_abs_reward",
}
_UNKNOWN = ("base_path", "batch_size", "gym_reset_return_info", "max_num_players")

# EnvPool aborts the process below these minimums.
_LEAST = {
    "frame_skip": 1,
    "img_height": 1,
    "img_width": 1,
    "max_episode_steps": 1,
    "noop_max": 1,
    "num_threads": 0,
    "stack_num": 1,
}

# As in `atari:` and Machado et al. 2018; EnvPool's defaults are 0 and true.
_ATARI_DEFAULTS = {"repeat_action_probability": 0.25, "use_fire_reset": False}


def load_envpool(address: Address, seeds: Sequence[int]) -> "EnvPool":
    """Builds a pool of `address.rest` with one environment for each seed.

    EnvPool takes a single seed: environment i is seeded with the first one plus i.
    """
    uri, name = address.uri, address.rest
    import_gymnasium()  # with its warnings switched off
    import envpool

    known = envpool.list_all_envs()
    if name not in known:
        raise ConfigError(
            f"environment {uri!r}: EnvPool has no {name!r}.{suggest(name, known)} "
            "It has Atari, Procgen, Classic Control, Toy Text and LunarLander, as in "
            "envpool:Pong-v5; `envpool.list_all_envs()` in Python shows all."
        )
    defaults = envpool.make_spec(name).config._asdict()
    _check_args(address, defaults)
    args = address.args
    if "repeat_action_probability" in defaults:
        args = {**_ATARI_DEFAULTS, **args}

    pool = envpool.make(
        name,
        env_type="gymnasium",
        num_envs=len(seeds),
        # The last environment's seed must be an int32, too.
        seed=seeds[0] % (2**31 - len(seeds)),
        **args,
    )
    return EnvPool(pool, uri)


def _check_args(address: Address, defaults: Mapping[str, Any]) -> None:
    place = f"environment {address.uri!r}"
    allowed = [name for name in defaults if name not in (*_REFUSED, *_UNKNOWN, "seed")]
    for key, value in address.args.items():
        if key in _REFUSED:
            raise ConfigError(f"{place}: {key!r} cannot be given: {_REFUSED[key]}.")
        if key not in allowed:
            raise ConfigError(
                f"{place} has no argument {key!r}; it takes {', '.join(allowed)}."
                f"{suggest(key, allowed)}"
            )
        check_option(address.uri, key, value, defaults[key], _LEAST.get(key))


class EnvPool(Pool):
    """A pool of E environments.

    EnvPool infers truncation from the number of steps: an episode that terminates
    exactly at the step limit counts as truncated. Images are transposed from channels
    first to `[height, width, channels]`.
    """

    def __init__(self, pool: Any, uri: str = "envpool"):
        """Wraps a Gymnasium pool; raises ConfigError if distrl cannot use it."""
        config, space = pool.config, pool.action_space
        if not isinstance(space, import_gymnasium().spaces.Discrete):
            raise refuse_actions(uri, space)
        zero_on_life_loss = config.get("zero_discount_on_life_loss", False)
        super().__init__(pool, config["num_envs"], int(space.n), zero_on_life_loss)
        spec = describe_space(
            pool.observation_space, "observation", uri, has_float_bounds=False
        )
        self._is_image = (
            isinstance(spec, specs.Array)
            and (spec.dtype, len(spec.shape)) == (np.uint8, 3)
            and config.get("channel_first", True)
        )
        if self._is_image:
            channels, *sides = spec.shape
            spec = spec.replace(shape=(*sides, channels))
        self._observation_spec = spec

    def reset(self, indices: list[int]) -> Any:
        """Starts an episode in some environments, while the others wait.

        EnvPool itself would do so in the next step, and ignore its action.
        """
        observation, info = self._pool.reset(np.array(indices, np.int32))
        if self._zero_on_life_loss:
            self._lives[indices] = info["lives"]
        return self._order(observation)


SUITE = Suite(
    form="envpool:ID",
    load_batch=load_envpool,
    # Listing each environment would import EnvPool, which takes seconds.
    list_entries=lambda: {
        "envpool:ID": "Atari, Procgen and others in C++, as in envpool:Pong-v5"
    },
    modules=("envpool",),
    requirement="envpool>=0.8.4",
)

"""The games of MinAtar (arXiv 1903.03176): `minatar:breakout`."""

from dataclasses import dataclass
from typing import Any

import dm_env
import numpy as np
from dm_env import specs

from distrl.environments.suite import Address, Suite, read_options
from distrl.errors import ConfigError, suggest

GAMES = ("asterix", "breakout", "freeway", "seaquest", "space_invaders")


@dataclass(frozen=True)
class MinAtarOptions:
    """The arguments of a game, with MinAtar's defaults."""

    sticky_action_prob: float = 0.1
    """How often a step repeats the action of the one before."""
    difficulty_ramping: bool = True
    """Let the game become harder as it is played."""
    use_minimal_action_set: bool = False
    """Use the actions that have an effect in the game, instead of all six."""


def load_minatar(address: Address, seed: int) -> "MinAtar":
    """Builds the game `address.rest`; raises ConfigError for unknown names."""
    import minatar

    game = address.rest
    if game not in GAMES:
        raise ConfigError(
            f"environment {address.uri!r}: MinAtar has no game {game!r}; it has "
            f"{', '.join(GAMES)}.{suggest(game, GAMES)}"
        )
    options = read_options(MinAtarOptions, address, {})
    environment = minatar.Environment(
        game, options.sticky_action_prob, options.difficulty_ramping
    )
    return MinAtar(environment, seed, options.use_minimal_action_set)


class MinAtar(dm_env.Environment):
    """A MinAtar game as a dm_env environment.

    Observations are `[10, 10, channels] uint8`, 255 where there is an object, else 0.
    Networks scale pixels, so they see 1 and 0, and replay needs a quarter of the memory
    of float32. Every end is a termination, as in MinAtar itself, even that of Freeway
    after 2500 frames.
    """

    def __init__(self, environment: Any, seed: int, use_minimal_action_set: bool):
        """Wraps a `minatar.Environment`; `seed` is for the game and sticky actions."""
        environment.seed(seed)
        self._environment = environment
        self._actions = list(range(environment.num_actions()))
        if use_minimal_action_set:
            self._actions = [int(a) for a in environment.minimal_action_set()]

    def reset(self) -> dm_env.TimeStep:
        """Starts an episode."""
        self._environment.reset()
        return dm_env.restart(self._observe())

    def step(self, action: Any) -> dm_env.TimeStep:
        """Takes an action; call `reset` once the episode is over."""
        reward, is_over = self._environment.act(self._actions[action])
        if is_over:
            return dm_env.termination(float(reward), self._observe())
        return dm_env.transition(float(reward), self._observe())

    def observation_spec(self) -> specs.BoundedArray:
        """Returns the spec of `[10, 10, channels] uint8`, 0 or 255."""
        shape = self._environment.state_shape()
        return specs.BoundedArray(shape, np.uint8, 0, 255, name="observation")

    def action_spec(self) -> specs.DiscreteArray:
        """Returns the spec of actions 0 to n - 1."""
        return specs.DiscreteArray(len(self._actions), np.int64, name="action")

    def _observe(self) -> np.ndarray:
        return self._environment.state().astype(np.uint8) * np.uint8(255)


SUITE = Suite(
    form="minatar:GAME",
    load=load_minatar,
    list_entries=lambda: {
        f"minatar:{game}": "a game of MinAtar, 10 by 10 cells" for game in GAMES
    },
    modules=("minatar",),
    requirement="minatar>=1.0.15",
)

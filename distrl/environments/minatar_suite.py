"""The games of MinAtar (arXiv 1903.03176): `minatar:breakout`."""

import importlib.util
import pkgutil
from pathlib import Path
from typing import Any

import dm_env
import numpy as np
from dm_env import specs

from distrl.environments.address import Address
from distrl.environments.factory import call_factory
from distrl.errors import ConfigError, suggest

INSTALL = "pip install 'minatar>=1.0.15'"
"""The command that installs MinAtar; `make` in a checkout installs it, too."""


def list_minatar() -> list[str]:
    """Returns the names of the games; none where MinAtar is not installed.

    It does not import MinAtar, which takes a second to import its plotting.
    """
    found = importlib.util.find_spec("minatar")
    if found is None or found.origin is None:
        return []
    folder = Path(found.origin).parent / "environments"
    return sorted(module.name for module in pkgutil.iter_modules([str(folder)]))


def import_minatar() -> Any:
    """Imports MinAtar."""
    import minatar

    return minatar


def load_minatar(address: Address, seed: int) -> "MinAtar":
    """Builds the game `address.rest`.

    Raises:
      ConfigError: MinAtar is not installed; for an unknown game or argument.
    """
    games = list_minatar()
    if not games:
        raise ConfigError(
            f"environment {address.uri!r} needs MinAtar, which is not installed; "
            f"install it with: {INSTALL}"
        )
    game = address.rest
    if game not in games:
        raise ConfigError(
            f"environment {address.uri!r}: MinAtar has no game {game!r}; it has "
            f"{', '.join(games)}.{suggest(game, games)}"
        )

    def make(
        sticky_action_prob: float = 0.1,
        difficulty_ramping: bool = True,
        use_minimal_action_set: bool = False,
    ) -> MinAtar:
        is_number = type(sticky_action_prob) in (int, float)
        if not is_number or not 0 <= sticky_action_prob <= 1:
            raise ConfigError(
                f"environment {address.uri!r}: sticky_action_prob is "
                f"{sticky_action_prob!r}; it has to be a number from 0 to 1."
            )
        switches = {
            "difficulty_ramping": difficulty_ramping,
            "use_minimal_action_set": use_minimal_action_set,
        }
        for name, value in switches.items():
            if not isinstance(value, bool):
                raise ConfigError(
                    f"environment {address.uri!r}: {name} is {value!r}; it has to be "
                    "true or false."
                )
        environment = import_minatar().Environment(
            game, sticky_action_prob, difficulty_ramping
        )
        return MinAtar(environment, seed, use_minimal_action_set)

    return call_factory(make, address.args, address.uri)


class MinAtar(dm_env.Environment):
    """A game of MinAtar as a dm_env one.

    An observation is `[10, 10, channels] uint8`, 255 where there is an object and 0
    elsewhere: pixels as networks of distrl expect them, which they make exactly 1
    and 0, in a quarter of float32's bytes in replay. Every end is a termination, as
    in MinAtar itself, also Freeway's after 2500 frames.
    """

    def __init__(self, environment: Any, seed: int, use_minimal_action_set: bool):
        """Wraps a `minatar.Environment`.

        Args:
          environment: the game.
          seed: of the game and of its sticky actions.
          use_minimal_action_set: take the actions that have an effect in the game,
            instead of the six that all games have.
        """
        environment.seed(seed)
        self._environment = environment
        self._actions = list(range(environment.num_actions()))
        if use_minimal_action_set:
            self._actions = [int(a) for a in environment.minimal_action_set()]
        self._action_spec = specs.DiscreteArray(
            len(self._actions), np.int64, name="action"
        )
        self._observation_spec = specs.BoundedArray(
            environment.state_shape(), np.uint8, 0, 255, name="observation"
        )
        self._is_over = True

    def reset(self) -> dm_env.TimeStep:
        """Starts an episode; the random numbers go on from the last one's."""
        self._environment.reset()
        self._is_over = False
        return dm_env.restart(self._observe())

    def step(self, action: Any) -> dm_env.TimeStep:
        """Takes an action, or starts an episode when the last one is over."""
        if self._is_over:
            return self.reset()
        reward, self._is_over = self._environment.act(self._actions[action])
        if self._is_over:
            return dm_env.termination(float(reward), self._observe())
        return dm_env.transition(float(reward), self._observe())

    def observation_spec(self) -> specs.BoundedArray:
        """Returns the spec of `[10, 10, channels] uint8`, 0 or 255."""
        return self._observation_spec

    def action_spec(self) -> specs.DiscreteArray:
        """Returns the spec of actions 0 to n - 1."""
        return self._action_spec

    def _observe(self) -> np.ndarray:
        return self._environment.state().astype(np.uint8) * np.uint8(255)

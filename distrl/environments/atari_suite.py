"""The games of the Arcade Learning Environment: `atari:Pong`.

The emulator and the preprocessing are ale-py's own, in C++ and in threads.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from dm_env import specs

from distrl.environments.address import Address
from distrl.environments.batch import BatchStep
from distrl.environments.factory import call_factory
from distrl.errors import ConfigError, suggest

INSTALL = "pip install 'ale-py>=0.12'"
"""The command that installs ale-py; `make` in a checkout installs it, too."""


def list_atari() -> list[str]:
    """Returns the names of the games; none where ale-py is not installed.

    It imports nothing.
    """
    found = importlib.util.find_spec("ale_py")
    if found is None or found.origin is None:
        return []
    roms = Path(found.origin).parent / "roms"
    return sorted(_name_game(file.stem) for file in roms.glob("*.bin"))


def import_atari() -> Any:
    """Imports ale-py and its adapters for Gymnasium."""
    import ale_py
    import ale_py.vector_env

    return ale_py


def load_atari(address: Address, seeds: Sequence[int]) -> "Atari":
    """Builds the game `address.rest`, once for each seed.

    The name is written as in `SpaceInvaders` or in `space_invaders`.

    Raises:
      ConfigError: ale-py is not installed; for an unknown game or argument.
    """
    games = list_atari()
    if not games:
        raise ConfigError(
            f"environment {address.uri!r} needs ale-py, which is not installed; "
            f"install it with: {INSTALL}"
        )
    # Names as of Gymnasium are those of the files without underscores.
    game = address.rest
    if "_" in game or game.islower():
        game = _name_game(game)
    if game not in games:
        raise ConfigError(
            f"environment {address.uri!r}: there is no game {address.rest!r}; there "
            f"are {', '.join(games)}.{suggest(game, games)}"
        )

    def make(
        frame_skip: int = 4,
        max_pooling: bool = True,
        grayscale: bool = True,
        screen_size: int = 84,
        stack_size: int = 4,
        repeat_action_probability: float = 0.25,
        noop_max: int = 30,
        terminal_on_life_loss: bool = False,
        full_action_space: bool = False,
        max_episode_frames: int = 108_000,
        num_threads: int = 0,
    ) -> Atari:
        numbers = [
            ("frame_skip", frame_skip, 1),
            ("screen_size", screen_size, 1),
            ("stack_size", stack_size, 1),
            ("noop_max", noop_max, 0),
            ("max_episode_frames", max_episode_frames, 1),
            ("num_threads", num_threads, 0),
        ]
        for name, value, least in numbers:
            if type(value) is not int or value < least:
                raise _refuse(address, name, value, f"an integer from {least}")
        switches = {
            "max_pooling": max_pooling,
            "grayscale": grayscale,
            "terminal_on_life_loss": terminal_on_life_loss,
            "full_action_space": full_action_space,
        }
        for name, value in switches.items():
            if not isinstance(value, bool):
                raise _refuse(address, name, value, "true or false")
        probability = repeat_action_probability
        if type(probability) not in (int, float) or not 0 <= probability <= 1:
            raise _refuse(
                address, "repeat_action_probability", probability, "from 0 to 1"
            )
        environment = import_atari().vector_env.AtariVectorEnv(
            _find_rom(game),
            len(seeds),
            num_threads=num_threads,
            max_num_frames_per_episode=max_episode_frames,
            repeat_action_probability=probability,
            full_action_space=full_action_space,
            img_height=screen_size,
            img_width=screen_size,
            grayscale=grayscale,
            stack_num=stack_size,
            frameskip=frame_skip,
            maxpool=max_pooling,
            noop_max=noop_max + 1,  # ale-py draws a number below it
            reward_clipping=False,
            use_fire_reset=False,
        )
        return Atari(environment, seeds, terminal_on_life_loss)

    return call_factory(make, address.args, address.uri)


class Atari:
    """E copies of a game, as a `Batch`.

    An observation is `[screen_size, screen_size, stack_size] uint8`, the newest frame
    last (times 3 without `grayscale`). An episode is a whole game. With
    `terminal_on_life_loss` a lost life has discount 0, as a termination has, and the
    game goes on: so does dqn_zoo. Returns are those of whole games all the same.
    """

    def __init__(
        self, environment: Any, seeds: Sequence[int], terminal_on_life_loss: bool
    ):
        """Wraps an `ale_py.AtariVectorEnv` that steps one environment a seed."""
        self._environment = environment
        self._seeds: np.ndarray | None = np.array(seeds, np.int64)
        self._terminal_on_life_loss = terminal_on_life_loss
        self._lives = np.zeros(len(seeds), np.int32)
        self._action_spec = specs.DiscreteArray(
            int(environment.single_action_space.n), np.int64, name="action"
        )
        stack, height, width, *colors = environment.single_observation_space.shape
        self._shape = (height, width, stack * int(np.prod(colors, dtype=int)))

    def __len__(self) -> int:
        """Returns E."""
        return len(self._lives)

    def reset(self) -> np.ndarray:
        """Starts a game in each environment; the first time with its seed."""
        frames, info = self._environment.reset(seed=self._seeds)
        self._seeds = None
        self._lives = info["lives"].copy()
        return self._stack(frames)

    def reset_some(self, indices: list[int]) -> np.ndarray:
        """Starts a game in some environments."""
        mask = np.zeros(len(self), bool)
        mask[indices] = True
        # All are returned, those that are not reset as they are.
        frames, info = self._environment.reset(options={"reset_mask": mask})
        self._lives = info["lives"].copy()
        return self._stack(frames[indices])

    def step(self, action: np.ndarray) -> BatchStep:
        """Plays `frame_skip` frames in each environment."""
        frames, reward_t, terminated, truncated, info = self._environment.step(action)
        ends_return = terminated
        if self._terminal_on_life_loss:
            ends_return = terminated | (info["lives"] < self._lives)
        self._lives = info["lives"].copy()
        return BatchStep(
            observation_t=self._stack(frames),
            reward_t=reward_t,
            discount_t=1.0 - ends_return,
            last_t=terminated | truncated,
        )

    def observation_spec(self) -> specs.BoundedArray:
        """Returns the spec of the stacked frames."""
        return specs.BoundedArray(self._shape, np.uint8, 0, 255, name="observation")

    def action_spec(self) -> specs.DiscreteArray:
        """Returns the spec of actions 0 to n - 1."""
        return self._action_spec

    def close(self) -> None:
        """Ends the emulators and their threads, once nothing refers to them."""
        self._environment = None

    def _stack(self, frames: np.ndarray) -> np.ndarray:
        # [K, stack, height, width] or [K, stack, height, width, 3]
        last = np.moveaxis(frames, 1, 3)
        return np.ascontiguousarray(last).reshape(len(frames), *self._shape)


def _refuse(address: Address, name: str, value: Any, needed: str) -> ConfigError:
    return ConfigError(
        f"environment {address.uri!r}: {name} is {value!r}; it has to be {needed}."
    )


def _name_game(rom: str) -> str:
    """Returns the name as Gymnasium writes it: `space_invaders`, `SpaceInvaders`."""
    return rom.title().replace("_", "")


def _find_rom(game: str) -> str:
    from ale_py import roms

    (rom,) = (rom for rom in roms.get_all_rom_ids() if _name_game(rom) == game)
    return rom

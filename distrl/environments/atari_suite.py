"""The games of the Arcade Learning Environment: `atari:Pong`.

ale-py does the emulation and preprocessing in C++ threads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dm_env import specs

from distrl.environments.batch import Pool
from distrl.environments.suite import Address, Suite, read_options
from distrl.errors import ConfigError, suggest

_LEAST = {
    "frame_skip": 1,
    "screen_size": 1,
    "stack_size": 1,
    "noop_max": 0,
    "max_episode_frames": 1,
    "num_threads": 0,
}


@dataclass(frozen=True)
class AtariOptions:
    """The options of docs/environments.md; the defaults are DQN's, with the sticky
    actions of Machado et al. 2018 (arXiv 1709.06009)."""

    frame_skip: int = 4
    max_pooling: bool = True
    grayscale: bool = True
    screen_size: int = 84
    stack_size: int = 4
    repeat_action_probability: float = 0.25
    noop_max: int = 30
    terminal_on_life_loss: bool = False
    full_action_space: bool = False
    max_episode_frames: int = 108_000
    num_threads: int = 0


def find_games() -> dict[str, str]:
    """Returns the ROM of each game by its name, for example `SpaceInvaders`."""
    from ale_py import roms

    return {_name_game(rom): rom for rom in sorted(roms.get_all_rom_ids())}


def load_atari(address: Address, seeds: Sequence[int]) -> "Atari":
    """Builds one copy of a game, `SpaceInvaders` or `space_invaders`, for each seed."""
    from ale_py.vector_env import AtariVectorEnv

    games = find_games()
    game = address.rest
    if "_" in game or game.islower():
        game = _name_game(game)
    if game not in games:
        raise ConfigError(
            f"environment {address.uri!r}: there is no game {address.rest!r}."
            f"{suggest(game, games)} There are {', '.join(games)}."
        )
    options = read_options(AtariOptions, address, _LEAST)
    environment = AtariVectorEnv(
        games[game],
        len(seeds),
        num_threads=options.num_threads,
        max_num_frames_per_episode=options.max_episode_frames,
        repeat_action_probability=options.repeat_action_probability,
        full_action_space=options.full_action_space,
        img_height=options.screen_size,
        img_width=options.screen_size,
        grayscale=options.grayscale,
        stack_num=options.stack_size,
        frameskip=options.frame_skip,
        maxpool=options.max_pooling,
        noop_max=options.noop_max + 1,  # ale-py's bound is exclusive
        reward_clipping=False,
        use_fire_reset=False,
    )
    return Atari(environment, seeds, options.terminal_on_life_loss)


class Atari(Pool):
    """Copies of a game.

    Observations are `[screen_size, screen_size, stack_size] uint8`, newest frame last
    (three times as many channels without `grayscale`).
    """

    def __init__(
        self, environment: Any, seeds: Sequence[int], terminal_on_life_loss: bool
    ):
        """Wraps an `ale_py.AtariVectorEnv` with one environment for each seed."""
        num_actions = int(environment.single_action_space.n)
        super().__init__(environment, len(seeds), num_actions, terminal_on_life_loss)
        self._seeds: np.ndarray | None = np.array(seeds, np.int64)
        stack, height, width, *colors = environment.single_observation_space.shape
        shape = (height, width, stack * int(np.prod(colors, dtype=int)))
        self._observation_spec = specs.BoundedArray(
            shape, np.uint8, 0, 255, name="observation"
        )

    def reset(self, indices: list[int]) -> np.ndarray:
        """Starts a game in some environments; seeds only the first time."""
        mask = np.zeros(len(self), bool)
        mask[indices] = True
        options = None if self._seeds is not None else {"reset_mask": mask}
        # Returns all observations, unchanged where nothing was reset.
        frames, info = self._pool.reset(seed=self._seeds, options=options)
        self._seeds = None
        self._lives[:] = info["lives"]
        return self._order(frames[indices])


def _name_game(rom: str) -> str:
    return rom.title().replace("_", "")


SUITE = Suite(
    form="atari:GAME",
    load_batch=load_atari,
    list_entries=lambda: {"atari:GAME": f"{len(find_games())} games, as in atari:Pong"},
    modules=("ale_py", "ale_py.vector_env"),
    requirement="ale-py>=0.12",
)

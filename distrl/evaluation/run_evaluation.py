"""`distrl evaluate`: plays episodes with saved parameters as the evaluator does."""

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from distrl.agents import make_agent
from distrl.agents.agent import Agent
from distrl.checkpoints.run_spec import check_run_spec, describe_environment
from distrl.config import Config
from distrl.environments import Episode, read_spec
from distrl.environments.rendering import make_rendered_environment
from distrl.evaluation.episodes import Evaluation, report_episodes
from distrl.evaluation.saved_variables import SavedVariables, Which, load_variables
from distrl.evaluation.video import check_video, open_video
from distrl.learner.checkpoint import describe_network
from distrl.seeding import derive_seed
from distrl.types import EnvironmentSpec

_NOTE_SECONDS = 3.0


def evaluate_run(
    config: Config,
    *,
    which: Which | None = None,
    seed: int | None = None,
    video: str | None = None,
    note: Callable[[str], object] = print,
    **fields: float | None,
) -> dict[str, Any]:
    """Plays episodes with saved parameters; returns the results as JSON data.

    Writes nothing into the run directory.

    Args:
      which: None uses the best parameters, or the latest if there are no best ones.
      seed: of environments and actions; None derives one that differs from that of the
        run's evaluator.
      video: a file for a video of one additional episode, which is played first.
      fields: replace those of `config.evaluation` unless they are None.

    Raises:
      ConfigError: nothing was saved yet, or something does not fit.
      EnvironmentFault: an environment failed.
    """
    given: dict[str, Any] = {n: v for n, v in fields.items() if v is not None}
    evaluation = dataclasses.replace(config.evaluation, **given)
    size = min(evaluation.environments, evaluation.episodes)
    processes = min(evaluation.environment_processes, size)
    config = dataclasses.replace(
        config,
        seed=derive_seed(config.seed, "evaluate") if seed is None else seed,
        evaluation=dataclasses.replace(
            evaluation, environments=size, environment_processes=processes
        ),
    )
    if video is not None:
        check_video(Path(video))
    spec = read_spec(
        config.environment,
        config.environment_args,
        last_action_reward=config.network.last_action_reward,
    )
    for line in check_run_spec(config, describe_environment(spec)):
        note(line)
    agent = make_agent(config, spec)
    variables = jax.eval_shape(agent.init, jax.random.PRNGKey(0))
    check_run_spec(config, describe_network(*variables))
    saved = load_variables(config, agent, which, note)
    note(
        f"playing {evaluation.episodes:,} episodes of the {saved.which} checkpoint, "
        f"learner step {saved.learner_steps:,}"
    )
    shown = None
    if video is not None:
        shown = _record(config, spec, agent, saved, Path(video), note)
    begun = time.monotonic()
    played = _play(Evaluation(config, spec, agent), saved, note)
    return {
        "run_dir": config.run_dir,
        "checkpoint": saved.which,
        "checkpoint_path": str(saved.path),
        "learner_steps": saved.learner_steps,
        "environment": config.environment,
        "epsilon": evaluation.epsilon,
        "max_episode_steps": evaluation.max_episode_steps,
        "seed": config.seed,
        **report_episodes(played),
        "seconds": round(time.monotonic() - begun, 3),
        "video": shown,
    }


def _play(
    evaluation: Evaluation, saved: SavedVariables, note: Callable[[str], object]
) -> list[Episode]:
    """Plays the episodes and closes the environments; notes the progress."""
    steps = itertools.count()
    due = time.monotonic() + _NOTE_SECONDS

    def report(ended: int) -> bool:
        nonlocal due
        taken = next(steps)
        if time.monotonic() >= due:
            due += _NOTE_SECONDS
            note(
                f"{ended:,} of {evaluation.episodes:,} episodes ended, {taken:,} steps "
                "in each environment"
            )
        return True

    with contextlib.closing(evaluation):
        played = evaluation.play(saved.params, saved.network_state, report)
    assert played is not None
    return played


def _record(
    config: Config,
    spec: EnvironmentSpec,
    agent: Agent,
    saved: SavedVariables,
    file: Path,
    note: Callable[[str], object],
) -> dict[str, Any]:
    """Writes a video of one episode and returns its statistics."""
    one = dataclasses.replace(config.evaluation, episodes=1, environments=1)
    config = dataclasses.replace(config, evaluation=one)
    seed = derive_seed(config.seed, "video")
    environment = make_rendered_environment(config, spec, seed)
    evaluation = Evaluation(config, spec, agent, environment=environment)
    with open_video(file, environment.frames_a_second) as environment.take:
        (episode,) = _play(evaluation, saved, note)
    return {
        "file": str(file),
        "episode_return": episode.episode_return,
        "length": episode.length,
        "truncated": episode.is_cut,
    }

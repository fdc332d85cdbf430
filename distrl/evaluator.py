"""The evaluator: greedy episodes of one frozen version of the parameters."""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from distrl.actor.policy import Player
from distrl.actor.role import make_vector_environment
from distrl.agents import make_agent
from distrl.agents.acting import epsilon_greedy
from distrl.config import Config
from distrl.coordinator import Reporter
from distrl.environments import VectorEnvironment
from distrl.seeding import derive_seed
from distrl.telemetry.metrics import MetricsLog
from distrl.types import EnvironmentSpec, StopSignal
from distrl.variables import VariableClient


def run_evaluator(
    config: Config,
    spec: EnvironmentSpec,
    variable_service: Any,
    coordinator: Any,
    stop: StopSignal,
) -> None:
    """Evaluates the newest version, again and again, until `stop` is set.

    Args:
      config: the whole configuration.
      spec: of the environment.
      variable_service: a client of `VariableService`.
      coordinator: a client of `Coordinator`.
      stop: ends the role.
    """
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    environment = make_vector_environment(
        config, spec, config.evaluation.environments, "evaluator", 0
    )
    variables = VariableClient(variable_service, config, stop)
    reporter = Reporter(coordinator, "evaluator", config, stop)
    log = MetricsLog(config, "evaluator")
    key = jax.random.PRNGKey(derive_seed(config.seed, "evaluator"))
    player = Player(
        make_agent(config, spec), epsilon_greedy, "evaluate", len(environment), key
    )
    epsilon = np.full(config.evaluation.environments, config.evaluation.epsilon)
    epsilon = epsilon.astype(np.float32)
    due = config.evaluation.period

    def keep_alive() -> bool:
        if reporter.is_due():
            reporter.send()
        return not stop.is_set()

    player.compile(spec)
    variables.await_first()
    while keep_alive():
        snapshot = variables.fetch()
        if snapshot is None or snapshot.learner_steps < due:
            stop.wait(config.actor.fetch_seconds)
            continue
        due = snapshot.learner_steps + config.evaluation.period
        started = time.monotonic()

        def act(observation: Any, last_t: np.ndarray, held: Any = snapshot) -> Any:
            player.end_episodes(last_t)
            return player.act(
                held.params, held.network_state, observation, epsilon
            ).action

        returns = evaluate(environment, act, config.evaluation.episodes, keep_alive)
        if returns is None:
            break
        reporter.send_evaluation(snapshot.learner_steps, float(np.mean(returns)))
        log.write(
            snapshot.learner_steps,
            {
                "learner_steps": snapshot.learner_steps,
                "version": snapshot.version,
                "env_steps": reporter.run_env_steps,
                "episodes": len(returns),
                "mean_return": float(np.mean(returns)),
                "std_return": float(np.std(returns)),
                "min_return": float(np.min(returns)),
                "max_return": float(np.max(returns)),
                "seconds": round(time.monotonic() - started, 3),
            },
        )
    reporter.send(last=True)
    environment.close()
    log.close()


def evaluate(
    environment: VectorEnvironment,
    act: Callable[[Any, np.ndarray], np.ndarray],
    episodes: int,
    go_on: Callable[[], bool],
) -> np.ndarray | None:
    """Runs whole episodes, the same number in each of the E environments.

    To take the first episodes that end would favour the short ones.

    Args:
      environment: E environments; they are reset first.
      act: from observations `[E, ...]` and `[E] bool`, whether each begins an
        episode, to actions `[E] int32`.
      episodes: how many to run; E divides it.
      go_on: asked before each step; False gives up.

    Returns:
      The returns `[episodes] float64`, or None when it gave up.
    """
    share = episodes // len(environment)
    returns: list[list[float]] = [[] for _ in range(len(environment))]
    observation = environment.reset()
    first = np.ones(len(environment), bool)
    while any(len(ended) < share for ended in returns):
        if not go_on():
            return None
        step = environment.step(act(observation, first))
        observation, first = step.observation, step.last_t
        for episode in step.episodes:
            if len(returns[episode.environment]) < share:
                returns[episode.environment].append(episode.episode_return)
    return np.asarray(returns).reshape(-1)

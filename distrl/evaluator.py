"""The evaluator: greedy episodes of one frozen version of the parameters."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from distrl.actor.policy import Player
from distrl.agents import make_agent
from distrl.agents.acting import epsilon_greedy
from distrl.agents.agent import Agent
from distrl.checkpoints import find_best, save_best
from distrl.config import Config
from distrl.coordinator import Reporter
from distrl.environments import (
    Episode,
    VectorEnvironment,
    make_vector_environment,
)
from distrl.node_log import say
from distrl.seeding import derive_seed
from distrl.telemetry.metrics import MetricsLog
from distrl.types import EnvironmentSpec, StopSignal
from distrl.variables import Snapshot, VariableClient, find_source


def run_evaluator(
    config: Config,
    spec: EnvironmentSpec,
    variable_service: Any,
    coordinator: Any,
    stop: StopSignal,
    life: tuple[int, ...] = (),
) -> None:
    """Evaluates the newest version, again and again, until `stop` is set.

    Args:
      config: the whole configuration.
      spec: of the environment.
      variable_service: a client of the node that `find_source` names.
      coordinator: a client of `Coordinator`.
      stop: ends the role.
      life: of the node (`Session.indices`), which draws other numbers in each.
    """
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    evaluation = Evaluation(config, spec, make_agent(config, spec), life)
    source = find_source(config, config.actor.count)
    variables = VariableClient(variable_service, config, stop, source)
    reporter = Reporter(coordinator, "evaluator", config, stop)
    log = MetricsLog(config, "evaluator", every_row=True)
    due = config.evaluation.period
    best = BestKeeper(config)

    def keep_alive(_: int = 0) -> bool:
        if reporter.is_due():
            reporter.send()
        return not stop.is_set()

    evaluation.compile()
    variables.await_first()
    while keep_alive():
        snapshot = variables.fetch()
        if snapshot is None or snapshot.learner_steps < due:
            stop.wait(config.actor.fetch_seconds)
            continue
        due = snapshot.learner_steps + config.evaluation.period
        started = time.monotonic()
        episodes = evaluation.play(snapshot.params, snapshot.network_state, keep_alive)
        if episodes is None:
            break
        summary = summarize_episodes(episodes)
        reporter.send_evaluation(
            snapshot.learner_steps,
            summary["mean_return"],
            summary["truncated_episodes"],
        )
        best.offer(snapshot, summary["mean_return"])
        log.write(
            snapshot.learner_steps,
            {
                "learner_steps": snapshot.learner_steps,
                "version": snapshot.version,
                "env_steps": reporter.run_env_steps,
                **summary,
                "seconds": round(time.monotonic() - started, 3),
            },
        )
    reporter.send(last=True)
    evaluation.close()
    log.close()


class BestKeeper:
    """Saves the parameters of the best evaluation of the run, its earlier lives' too.

    What cannot be saved is said in the log, and tried again at the next that is better.
    """

    def __init__(self, config: Config):
        """Looks for the best evaluation so far."""
        assert config.run_dir is not None
        self._run_dir = config.run_dir
        self._episodes = config.evaluation.episodes
        self._best = find_best(config.run_dir)

    def offer(self, snapshot: Snapshot, mean_return: float) -> None:
        """Saves what was evaluated if nothing was better."""
        so_far = -np.inf if self._best is None else self._best.mean_return
        # Not a number is no return to be kept.
        if not mean_return > so_far:
            return
        variables = jax.tree.map(np.asarray, (snapshot.params, snapshot.network_state))
        try:
            self._best = save_best(
                self._run_dir,
                variables,
                snapshot.learner_steps,
                mean_return,
                self._episodes,
            )
        except Exception as error:
            say(f"the best parameters were not saved: {error}")


class Evaluation:
    """Whole greedy episodes of frozen parameters, in environments of its own."""

    def __init__(
        self,
        config: Config,
        spec: EnvironmentSpec,
        agent: Agent,
        life: tuple[int, ...] = (),
        environment: VectorEnvironment | None = None,
    ):
        """Takes over `environment`; None makes `evaluation.environments` ones."""
        if environment is None:
            environment = make_vector_environment(
                config, spec, config.evaluation.environments, "evaluator", 0, life
            )
        count = len(environment)
        key = jax.random.PRNGKey(derive_seed(config.seed, "evaluator", *life))
        self._config = config
        self._spec = spec
        self._episodes = config.evaluation.episodes
        self._environment = environment
        self._player = Player(agent, epsilon_greedy, "evaluate", count, key)
        self._epsilon = np.full(count, config.evaluation.epsilon, np.float32)

    def compile(self) -> None:
        """Compiles the policy before there are parameters."""
        self._player.compile(self._spec)

    def start_anew(self, life: tuple[int, ...]) -> None:
        """Begins as one that was just made for another life; compiles nothing."""
        config = self._config
        self._environment.close()
        self._environment = make_vector_environment(
            config, self._spec, config.evaluation.environments, "evaluator", 0, life
        )
        seed = derive_seed(config.seed, "evaluator", *life)
        self._player.start_anew(jax.random.PRNGKey(seed))

    def play(
        self, params: Any, network_state: Any, go_on: Callable[[int], bool]
    ) -> list[Episode] | None:
        """Returns `evaluation.episodes` episodes; None if it gave up.

        Args:
          params: the network's parameters.
          network_state: the network's state.
          go_on: asked before each step with the number of episodes that have ended;
            False gives up.
        """

        def act(observation: Any, first: np.ndarray) -> np.ndarray:
            self._player.end_episodes(first)
            choice = self._player.act(params, network_state, observation, self._epsilon)
            return choice.action

        limit = self._config.evaluation.max_episode_steps
        return evaluate(self._environment, act, self._episodes, go_on, limit)

    def close(self) -> None:
        """Closes the environments."""
        self._environment.close()


def summarize_episodes(episodes: Sequence[Episode]) -> dict[str, Any]:
    """Returns the columns of a metrics row that describe an evaluation's episodes."""
    returns = [episode.episode_return for episode in episodes]
    return {
        "episodes": len(episodes),
        "truncated_episodes": sum(episode.is_cut for episode in episodes),
        "mean_return": float(np.mean(returns)),
        "std_return": float(np.std(returns)),
        "min_return": float(np.min(returns)),
        "max_return": float(np.max(returns)),
    }


def evaluate(
    environment: VectorEnvironment,
    act: Callable[[Any, np.ndarray], np.ndarray],
    episodes: int,
    go_on: Callable[[int], bool],
    limit: int | None = None,
) -> list[Episode] | None:
    """Runs whole episodes, the same number in each of the E environments.

    To take the first episodes that end would favour the short ones. An episode that
    reaches the limit ends there and counts with its return so far.

    Args:
      environment: E environments; they are reset first.
      act: from observations `[E, ...]` and `[E] bool`, whether each begins an
        episode, to actions `[E] int32`.
      episodes: how many to run; where E does not divide it, the first environments
        run one more.
      go_on: asked before each step with the number of episodes that have ended; False
        gives up.
      limit: the steps after which an episode is cut off; None lets it run.

    Returns:
      The episodes, those of an environment side by side, or None when it gave up.
    """
    count = len(environment)
    shares = [len(range(index, episodes, count)) for index in range(count)]
    ended: list[list[Episode]] = [[] for _ in shares]
    observation = environment.reset()
    first = np.ones(count, bool)
    while (done := sum(map(len, ended))) < episodes:
        if not go_on(done):
            return None
        step = environment.step(act(observation, first), limit)
        observation, first = step.observation, step.last_t
        for episode in step.episodes:
            index = episode.environment
            if len(ended[index]) < shares[index]:
                ended[index].append(episode)
    return [episode for each in ended for episode in each]

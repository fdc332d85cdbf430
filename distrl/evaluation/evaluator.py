"""The evaluator node: plays greedy episodes with the newest parameters."""

import time
from typing import Any

import jax
import numpy as np

from distrl.agents import make_agent
from distrl.checkpoints.best import find_best, save_best
from distrl.config import Config
from distrl.coordinator import Reporter
from distrl.evaluation.episodes import Evaluation, summarize_episodes
from distrl.system.output import say
from distrl.system.session import read_session
from distrl.telemetry.metrics import MetricsLog
from distrl.types import EnvironmentSpec, StopSignal
from distrl.variables import Snapshot, VariableClient, find_source


def run_evaluator(
    config: Config,
    spec: EnvironmentSpec,
    variable_service: Any,
    coordinator: Any,
    stop: StopSignal,
) -> None:
    """Evaluates the newest parameters repeatedly until `stop` is set.

    `variable_service` is a client of the node that `find_source` names.
    """
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    incarnation, agent = read_session().indices, make_agent(config, spec)
    evaluation = Evaluation(config, spec, agent, incarnation)
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
        mean, truncated = summary["mean_return"], summary["truncated_episodes"]
        reporter.send_evaluation(snapshot.learner_steps, mean, truncated)
        best.offer(snapshot, mean)
        log.write(
            snapshot.learner_steps,
            {
                "learner_steps": snapshot.learner_steps,
                "version": snapshot.version,
                "env_steps": reporter.progress.env_steps,
                **summary,
                "seconds": round(time.monotonic() - started, 3),
            },
        )
    reporter.send(last=True)
    evaluation.close()
    log.close()


class BestKeeper:
    """Saves the parameters of the best evaluation so far, across restarts."""

    def __init__(self, config: Config):
        """Reads the best evaluation of earlier incarnations."""
        assert config.run_dir is not None
        self._run_dir = config.run_dir
        self._episodes = config.evaluation.episodes
        best = find_best(config.run_dir)
        self._best_return = -np.inf if best is None else best.mean_return

    def offer(self, snapshot: Snapshot, mean_return: float) -> None:
        """Saves the evaluated parameters if their return is the best so far.

        A failure is logged; the next better evaluation tries again.
        """
        # Not `<=`, so that NaN is never the best.
        if not mean_return > self._best_return:
            return
        variables = jax.tree.map(np.asarray, (snapshot.params, snapshot.network_state))
        steps = snapshot.learner_steps
        try:
            save_best(self._run_dir, variables, steps, mean_return, self._episodes)
            self._best_return = mean_return
        except Exception as error:
            say(f"the best parameters were not saved: {error}")

"""The evaluator node: plays greedy episodes with the newest parameters."""

import time
from typing import Any

import jax

from distrl.agents import make_agent
from distrl.checkpoints.best import BestKeeper
from distrl.config import Config
from distrl.coordinator import Reporter
from distrl.evaluation.episodes import Evaluation, summarize_episodes
from distrl.seeding import read_session
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
    """Evaluates the newest parameters repeatedly until `stop` is set.

    `variable_service` is a client of the node that `find_source` names.
    """
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    incarnation, agent = read_session().indices, make_agent(config, spec)
    evaluation = Evaluation(config, spec, agent, incarnation)
    client = VariableClient(variable_service, config, stop, config.actor.count)
    reporter = Reporter(coordinator, "evaluator", config, stop)
    log = MetricsLog(config, "evaluator", every_row=True)
    due = config.evaluation.period
    assert config.run_dir is not None
    best = BestKeeper(config.run_dir, config.evaluation.episodes)

    def keep_alive(_: int = 0) -> bool:
        if reporter.is_due():
            reporter.send()
        return not stop.is_set()

    evaluation.compile()
    client.await_first()
    while keep_alive():
        snapshot = client.fetch()
        if snapshot is None or snapshot.learner_steps < due:
            stop.wait(config.actor.fetch_seconds)
            continue
        steps = snapshot.learner_steps
        due = steps + config.evaluation.period
        started = time.monotonic()
        variables = snapshot.params, snapshot.network_state
        episodes = evaluation.play(*variables, keep_alive)
        if episodes is None:
            break
        summary = summarize_episodes(episodes)
        mean, truncated = summary["mean_return"], summary["truncated_episodes"]
        reporter.send_evaluation(steps, mean, truncated)
        best.offer(variables, steps, mean)
        log.write(
            steps,
            {
                "learner_steps": steps,
                "version": snapshot.version,
                "env_steps": reporter.progress.env_steps,
                **summary,
                "seconds": round(time.monotonic() - started, 3),
            },
        )
    reporter.send(last=True)
    evaluation.close()
    log.close()

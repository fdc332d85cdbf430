"""The checkpoints of real runs are consistent and complete."""

import os
import random
import signal
import time

import jax
import numpy as np
import pytest
from integration.commands import ENDLESS, read_rows, resume, train
from integration.restored import restore_learning

from distrl import load_policy
from distrl.agents import make_agent
from distrl.checkpoints.best import find_best
from distrl.checkpoints.layout import (
    find_newest_checkpoint,
    list_checkpoints,
    next_number,
)
from distrl.config import load_run
from distrl.environments import read_spec
from distrl.learner.checkpoint import restore_state
from distrl.learner.optimizer import make_optimizer
from distrl.learner.state import init_state


def test_checkpoint_parts_are_consistent(tmp_path):
    run_dir = tmp_path / "run"
    flags = [*ENDLESS, "--checkpoint.period_learner_steps=400"]
    with train(run_dir, *flags, "--stop.learner_steps=4000") as command:
        assert command.finish() == 0, command.stderr
        command.assert_nothing_is_left()
    result = command.result
    found = find_newest_checkpoint(run_dir, pytest.fail, verify=True)
    progress = found.progress
    assert progress.learner_steps == result["learner_steps"] >= 4_000
    assert progress.env_steps == result["env_steps"]
    assert progress.episodes == result["episodes"]
    assert progress.evaluation_return == result["evaluation_return"]
    assert progress.best_return == result["best_return"]
    assert find_best(run_dir).mean_return == result["best_return"]

    # Several were saved on the way and one at the end; two are kept, without remains.
    numbers = [int(path.name) for path in list_checkpoints(run_dir)]
    assert len(numbers) == 2
    assert numbers[0] >= 4
    assert sorted(os.listdir(run_dir / "checkpoints")) == sorted(
        [*(f"{number:06d}" for number in numbers), "coordinator.json"]
    )

    config = load_run(str(run_dir))
    spec = read_spec(config.environment, {})
    for which, steps in (("best", None), ("latest", progress.learner_steps)):
        policy = load_policy(run_dir, which)
        assert policy.origin["config"]["run_dir"] == str(run_dir)
        assert policy.learner_steps == (steps or find_best(run_dir).learner_steps)
        assert policy.act(np.zeros(spec.observation.shape)) in range(3)
    agent, optimizer = make_agent(config, spec), make_optimizer(config.learner)
    initial = init_state(agent, optimizer, jax.random.PRNGKey(0))
    _, restored = restore_state(run_dir, initial)
    assert restored == progress
    learning = restore_learning(config, spec)
    # Some were still in the queue and in the actors.
    assert 0.75 * progress.env_steps <= learning.inserted <= progress.env_steps
    replay, batch_size = config.replay, config.learner.batch_size
    assert learning.sampled == progress.learner_steps * batch_size
    allowed = replay.samples_per_insert * (learning.inserted - replay.min_size)
    assert learning.sampled <= allowed

    log = (run_dir / "logs" / "learner.log").read_text()
    assert log.count("saved checkpoint") >= 4
    last = read_rows(run_dir, "coordinator")[-1]
    assert int(last["checkpoint"]) == progress.learner_steps
    assert int(last["failed_saves"]) == 0


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_run_killed_while_saving_has_complete_checkpoint(tmp_path):
    run_dir = tmp_path / "run"
    rng = random.Random(11)
    flags = [*ENDLESS, "--checkpoint.period_seconds=0.2"]
    newest = 0
    for moment in range(20):
        start = train if moment == 0 else resume
        with start(run_dir, *flags) as command:
            if moment > 0:
                command.await_line("resuming from")
            command.await_line("training")
            # Wait until one more is complete and the next has begun.
            while next_number(run_dir) <= newest + 1 or not list(
                run_dir.glob("checkpoints/.partial-*/*")
            ):
                assert command.process.poll() is None, command.stderr
            # The kill falls between the start of a part and a while after the rename.
            time.sleep(rng.uniform(0.0, 0.1))
            os.kill(command.process.pid, signal.SIGKILL)
            command.finish()
            command.assert_nothing_is_left(seconds=10)
        found = find_newest_checkpoint(run_dir, pytest.fail, verify=True)
        assert int(found.path.name) > newest
        newest = int(found.path.name)
        assert found.find_part("learner") is not None
        assert found.find_part("replay/devices") is not None

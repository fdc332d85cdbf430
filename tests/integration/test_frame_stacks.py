"""Frame stacks in the replay of trained and resumed runs are intact."""

import socket

import jax
import numpy as np
import pytest
from integration.commands import resume, train
from integration.restored import restore_learning
from integration.stacked_environments import STACK, Stacked, stack

from distrl.config import load_run
from distrl.config.replay_sizes import replay_sizes
from distrl.frames import FrameLayout
from distrl.replay import ReplaySampler
from distrl.replay.server import start_server
from distrl.types import EnvironmentSpec

FLAGS = [
    "--environment=stacked_environments:Stacked",
    f"--replay.frame_stack={STACK}",
    "--replay.capacity=3000",
    "--replay.samples_per_insert=null",
    "--learner.batch_size=32",
    "--actor.count=1",
    "--actor.n_step=2",
    "--evaluation.episodes=5",
    "--evaluation.environments=5",
    "--stop.evaluation_return=null",
    "--stop.env_steps=null",
]


def read_saved(config, spec):
    """Returns 256 items of the newest checkpoint."""
    if config.replay.sampled_on == "learner":
        buffer = restore_learning(config, spec).buffer
        ring = jax.tree.map(lambda x: np.asarray(x)[0], buffer.items)
        assert buffer.added[0] > 256
        return FrameLayout(config, spec).decode(ring.frames, ring.words[:256])
    with socket.socket() as s:
        s.bind(("localhost", 0))
        port = s.getsockname()[1]
    server = start_server(config, spec, port)
    try:
        sampler = ReplaySampler(
            f"localhost:{port}", config, spec, replay_sizes(config).share
        )
        superbatch = sampler.read()
        return superbatch.items
    finally:
        server.stop()


def check_transitions(items):
    """Checks every pixel against those that the newest frame implies."""
    starts = [x[0, :3, -1].tolist() for x in items.observation_tm1]
    ends = [x[0, :3, -1].tolist() for x in items.observation_t]
    np.testing.assert_array_equal(items.observation_tm1, [stack(*x) for x in starts])
    np.testing.assert_array_equal(items.observation_t, [stack(*x) for x in ends])
    for start, end, reward in zip(starts, ends, items.reward_t, strict=True):
        assert start[:2] == end[:2]
        steps = end[2] - start[2]
        assert steps in (1, 2)
        assert reward == pytest.approx(1.0 if steps == 1 else 1.99)


def check_run(run_dir, *flags):
    """Trains, resumes, and checks the items that replay holds at the end."""
    flags = [*FLAGS, *flags, "--stop.learner_steps=80"]
    with train(run_dir, *flags) as command:
        assert command.finish(timeout=300) == 0, command.stderr
        command.assert_nothing_is_left()
    # The nodes keep working until the stop reaches them.
    goal = command.result["learner_steps"] + 80
    with resume(run_dir, f"--stop.learner_steps={goal}") as command:
        assert command.finish(timeout=300) == 0, command.stderr
        command.assert_nothing_is_left()
    assert command.result["learner_steps"] >= goal
    config = load_run(str(run_dir))
    spec = EnvironmentSpec(Stacked().observation_spec(), 2)
    items = read_saved(config, spec)
    assert items.observation_tm1.shape == (256, 5, 5, STACK)
    check_transitions(items)


@pytest.mark.timeout(700)
def test_uniform_replay_keeps_frame_stacks_over_resume(tmp_path):
    flags = ["--replay.sampled_on=server", "--replay.transitions_per_item=8"]
    check_run(tmp_path / "run", *flags)


@pytest.mark.timeout(700)
@pytest.mark.parametrize("kind", ["uniform", "prioritized"])
def test_replay_on_the_devices_keeps_frame_stacks_over_resume(tmp_path, kind):
    flags = ["--replay.sampled_on=learner", "--learner.devices=1"]
    check_run(tmp_path / "run", *flags, f"--replay.kind={kind}")


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_prioritized_replay_keeps_frame_stacks_over_resume(tmp_path):
    flags = ["--replay.sampled_on=server", "--replay.kind=prioritized"]
    check_run(tmp_path / "run", *flags)

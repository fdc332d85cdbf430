"""Checkpoints of the learner are complete and are continued from exactly."""

import dataclasses
import itertools
import threading
from concurrent import futures
from functools import partial

import jax
import numpy as np
import pytest
from dm_env import specs
from mortal_servers import MortalServer, serve_shard
from real_services import wait_until

from distrl.agents import make_agent
from distrl.checkpoints.layout import (
    RunProgress,
    begin_part,
    complete_checkpoint,
    find_newest_checkpoint,
    list_checkpoints,
)
from distrl.config import (
    CheckpointConfig,
    Config,
    LaunchConfig,
    LearnerConfig,
    NetworkConfig,
    ReplayConfig,
)
from distrl.coordinator import Coordinator, Reporter
from distrl.learner.checkpoint import Checkpointer, restore_state, save_train_state
from distrl.learner.devices import first_replica, put_superbatch, replicate
from distrl.learner.optimizer import make_optimizer
from distrl.learner.state import init_state
from distrl.learner.update import make_update
from distrl.replay import save_shard
from distrl.types import EnvironmentSpec, Transition

SPEC = EnvironmentSpec(specs.Array((5,), np.float32), num_actions=3)
DEVICES = 2


class Learning:
    """An update and a superbatch for it."""

    def __init__(self, network, **learner):
        config = Config(
            agent="double_dqn",
            network=network,
            replay=ReplayConfig(transitions_per_item=1),
            learner=LearnerConfig(batch_size=8, steps_per_dispatch=2, **learner),
        )
        self.config = config.learner
        self.devices = jax.local_devices()[:DEVICES]
        agent, optimizer = make_agent(config, SPEC), make_optimizer(config.learner)
        self.initial = init_state(agent, optimizer, jax.random.PRNGKey(3))
        self.update = make_update(agent, optimizer, config, self.devices)
        rng = np.random.default_rng(0)
        items = Transition(
            rng.normal(size=(16, 5)).astype(np.float32),
            rng.integers(3, size=16).astype(np.int32),
            rng.normal(size=16).astype(np.float32),
            np.full(16, 0.9, np.float32),
            rng.normal(size=(16, 5)).astype(np.float32),
        )
        ones = np.ones(16, np.float32)
        self.superbatch = put_superbatch((items, ones), self.devices, 2)

    def learn(self, state, times):
        for _ in range(times):
            state, _ = self.update(state, *self.superbatch)
        return state


@pytest.fixture(scope="module")
def learning():
    return Learning(NetworkConfig("mlp", {"hidden_sizes": [4]}, noisy=True))


def save(run_dir, state, learner_steps=0):
    save_train_state(run_dir, "000001", first_replica(state), learner_steps)
    progress = RunProgress(learner_steps=learner_steps)
    complete_checkpoint(run_dir, "000001", progress, 1)


def restore(run_dir, learning):
    return restore_state(run_dir, learning.initial)


def test_restore_without_checkpoint_returns_initial_state(learning, tmp_path):
    assert restore(tmp_path, learning) == (learning.initial, RunProgress())


class Saving:
    """A checkpointer and its coordinator, an actor, and replay shards, if any."""

    def __init__(self, learning, run_dir, addresses, **checkpoint):
        self.run_dir = run_dir
        settings = {"period_seconds": None, "save_replay": bool(addresses)}
        self.config = Config(
            run_dir=str(run_dir),
            replay=ReplayConfig(sampled_on="server", shards=max(1, len(addresses))),
            launch=LaunchConfig(report_seconds=0.01, stop_seconds=2.0),
            checkpoint=CheckpointConfig(**{**settings, **checkpoint}),
        )
        self.addresses = addresses
        self.stop = threading.Event()
        self.coordinator = Coordinator(self.config, self.stop, self.stop.set)
        self.reporter = Reporter(self.coordinator, "learner", self.config, self.stop)
        self.actor = Reporter(self.coordinator, "actor/0", self.config, self.stop)
        self.initial = learning.initial
        self.state = replicate(learning.initial, learning.devices)
        self.checkpointer = self.restart()

    def restart(self):
        """Returns the checkpointer of a restarted learner."""
        _, progress = restore_state(self.run_dir, self.initial)
        names = self.config.replay.shard_names if self.addresses else ()
        shards = zip(names, self.addresses, strict=True)
        parts = {name: partial(save_shard, address) for name, address in shards}
        self.checkpointer = Checkpointer(
            self.config, lambda: parts, self.reporter, self.stop, progress
        )
        return self.checkpointer

    def poll(self, learner_steps, until):
        def is_done():
            self.reporter.send()
            self.checkpointer.poll(self.state, learner_steps)
            return until()

        wait_until(is_done)

    def names(self):
        return [path.name for path in list_checkpoints(self.run_dir)]

    def partials(self):
        return [path.name for path in self.run_dir.glob("checkpoints/.partial-*")]

    def gauge(self, name):
        self.reporter.send()
        return self.coordinator._gauges["learner"].get(name)

    def failed_saves(self):
        self.reporter.send()
        return self.coordinator._memory.totals.get("failed_saves", 0)


def serve_shards(config, run_dir):
    """Returns two empty replay servers that can be killed."""
    config = dataclasses.replace(config, run_dir=str(run_dir))
    servers = [MortalServer(serve_shard, config, SPEC, shard) for shard in range(2)]
    for server in servers:
        server.start()
    return servers


@pytest.fixture
def shards(tmp_path):
    config = Config(
        replay=ReplayConfig(sampled_on="server", shards=2, transitions_per_item=1)
    )
    servers = serve_shards(config, tmp_path)
    yield servers
    for server in servers:
        server.kill()


def test_learning_after_restore_is_identical(learning, tmp_path, capsys):
    saving = Saving(learning, tmp_path, [], period_learner_steps=6)
    state = learning.learn(saving.state, 3)
    saving.checkpointer.poll(state, 6)
    # The next update may overwrite the state before it is written.
    expected = first_replica(learning.learn(state, 2))
    saving.poll(6, saving.names)

    restored, progress = restore(tmp_path, learning)
    assert (int(restored.learner_steps), progress.learner_steps) == (6, 6)
    printed = capsys.readouterr().out
    assert "saved checkpoint 000001 of learner step 6" in printed
    assert "continues from checkpoint 000001 of learner step 6" in printed
    found = first_replica(learning.learn(replicate(restored, learning.devices), 2))
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_checkpoint_has_all_parts_and_counts(learning, tmp_path, shards):
    addresses = [shard.address for shard in shards]
    saving = Saving(learning, tmp_path, addresses, period_learner_steps=4, keep=2)
    saving.actor.count(env_steps=30, episodes=2)
    saving.actor.send()
    # There is nothing to save before the first step.
    saving.checkpointer.poll(saving.state, 0)
    assert saving.partials() == []
    for number, steps in enumerate((4, 8, 12), 1):
        saving.poll(steps, lambda name=f"{number:06d}": name in saving.names())
    saving.poll(12, lambda: saving.gauge("checkpoint") == 12)
    assert saving.names() == ["000003", "000002"]
    found = find_newest_checkpoint(tmp_path, pytest.fail)
    assert all(map(found.find_part, ("learner", "replay/0", "replay/1")))
    progress = found.progress
    assert (progress.env_steps, progress.learner_steps, progress.episodes) == (
        30,
        12,
        2,
    )
    assert saving.failed_saves() == 0


def test_checkpoint_period_continues_after_learner_restart(learning, tmp_path):
    saving = Saving(learning, tmp_path, [], period_seconds=0.3)
    saving.poll(4, saving.names)
    first = find_newest_checkpoint(tmp_path, pytest.fail).progress.seconds
    assert first >= 0.3
    begin_part(tmp_path, "000002", "learner").mkdir()
    saving.restart()
    assert saving.gauge("checkpoint") == 4
    wait_until(lambda: saving.reporter.send() or _seconds(saving) >= first + 0.3)
    saving.checkpointer.poll(saving.state, 4)
    saving.poll(4, lambda: saving.names() == ["000002", "000001"])
    assert saving.partials() == []


def _seconds(saving):
    return saving.reporter.progress.seconds


def test_last_checkpoint_has_the_final_counts(learning, tmp_path, shards):
    saving = Saving(learning, tmp_path, [shard.address for shard in shards])
    saving.actor.send()
    saving.reporter.send()
    saving.stop.set()
    with futures.ThreadPoolExecutor(1) as executor:
        finished = executor.submit(saving.checkpointer.finish, saving.state, 8)
        saving.actor.count(env_steps=7)
        saving.actor.send(last=True)
        finished.result(30)
    found = find_newest_checkpoint(tmp_path, pytest.fail)
    assert (found.progress.env_steps, found.progress.learner_steps) == (7, 8)
    assert saving.gauge("checkpoint") == 8


def test_last_checkpoint_is_saved_if_an_actor_never_ends(learning, tmp_path):
    saving = Saving(learning, tmp_path, [])
    saving.actor.send()
    saving.reporter.send()
    saving.stop.set()
    saving.checkpointer.finish(saving.state, 8)
    assert saving.names() == ["000001"]


def test_checkpoint_is_given_up_after_save_seconds(learning, tmp_path, shards, capsys):
    addresses = [shard.address for shard in shards]
    saving = Saving(
        learning, tmp_path, addresses, period_learner_steps=4, save_seconds=3.0
    )
    shards[1].freeze()
    saving.poll(4, saving.failed_saves)
    printed = capsys.readouterr().out
    assert "checkpoint 000001 was given up: " in printed
    assert "replay/1 took longer than checkpoint.save_seconds" in printed
    assert saving.names() == []
    shards[1].thaw()
    # The shard still answers the first request, which may fail the next checkpoint.
    steps = itertools.count(8)
    wait_until(lambda: saving.poll(next(steps), lambda: True) or saving.names())
    # A checkpoint given up is never completed, and its number is not reused.
    assert "000001" not in saving.names()
    wait_until(lambda: saving.partials() == [])


def test_dead_shard_fails_the_last_checkpoint(learning, tmp_path, shards, capsys):
    saving = Saving(learning, tmp_path, [shard.address for shard in shards])
    saving.stop.set()
    shards[0].kill()
    saving.checkpointer.finish(saving.state, 8)
    assert saving.failed_saves() == 1
    assert "000001 was given up: replay/0 was not saved" in capsys.readouterr().out
    assert (saving.names(), saving.partials()) == ([], [])


def test_failed_write_is_followed_by_the_next_checkpoint(learning, tmp_path, capsys):
    saving = Saving(learning, tmp_path, [], period_learner_steps=4)
    # A file where the directory has to be: even root cannot write there.
    (tmp_path / "checkpoints").write_text("")
    saving.poll(4, saving.failed_saves)
    assert "000001 was given up: learner was not saved" in capsys.readouterr().out
    (tmp_path / "checkpoints").unlink()
    # The next one is due a period later.
    saving.checkpointer.poll(saving.state, 7)
    assert saving.names() == []
    saving.poll(8, saving.names)


def test_non_finite_params_are_not_saved(learning, tmp_path):
    leaves, structure = jax.tree.flatten(learning.initial.params)
    leaves[-1] = np.full_like(leaves[-1], np.nan)
    broken = learning.initial._replace(params=jax.tree.unflatten(structure, leaves))
    with pytest.raises(ArithmeticError, match="params"):
        save(tmp_path, replicate(broken, learning.devices))
    assert restore(tmp_path, learning) == (learning.initial, RunProgress())


def test_checkpoint_of_another_network_is_rejected(learning, tmp_path):
    save(tmp_path, replicate(learning.initial, learning.devices))
    network = NetworkConfig("mlp", {"hidden_sizes": [6]})
    other = Learning(network)
    with pytest.raises(ValueError, match="another network"):
        restore(tmp_path, other)

"""Reverb servers in this process, and items that are made from their ids."""

import contextlib
import socket
import threading
import time

import numpy as np
import pytest
import reverb
import tree
from dm_env import specs

from distrl.config.schema import (
    ActorConfig,
    Config,
    LaunchConfig,
    LearnerConfig,
    NetworkConfig,
    ReplayConfig,
)
from distrl.replay.forms import TABLE_NAME
from distrl.replay.server import make_table
from distrl.replay.writer import BlockWriter
from distrl.types import EnvironmentSpec, StepSequence, Transition


def observe(x):
    """Returns observations made from an array of numbers of any shape."""
    pixels = np.arange(12).reshape(4, 3) + 7 * x[..., None, None]
    return {
        "pixels": (pixels % 256).astype(np.uint8),
        "speed": np.stack([np.sqrt(x), -x / 3], axis=-1).astype(np.float32),
    }


class Replay:
    """Starts servers at free ports, and makes items to write to them."""

    spec = EnvironmentSpec(
        observation={
            "pixels": specs.Array((4, 3), np.uint8),
            "speed": specs.Array((2,), np.float32),
        },
        num_actions=3,
    )

    def __init__(self):
        self._servers = []

    @staticmethod
    def free_port():
        with socket.socket() as s:
            s.bind(("localhost", 0))
            return s.getsockname()[1]

    @staticmethod
    def config(
        batch_size=64,
        steps_per_dispatch=2,
        launch=None,
        actor=None,
        core="none",
        **replay,
    ):
        replay = {
            "sampled_on": "server",
            "min_size": 1,
            "samples_per_insert": None,
        } | replay
        return Config(
            replay=ReplayConfig(**replay),
            learner=LearnerConfig(
                batch_size=batch_size, steps_per_dispatch=steps_per_dispatch
            ),
            launch=LaunchConfig(**(launch or {})),
            actor=ActorConfig(**(actor or {})),
            network=NetworkConfig(core=core, core_size=5),
        )

    def serve(self, config, table=None, port=None):
        """Starts a server; returns its address and its table."""
        table = table or make_table(config, self.spec)
        port = port or self.free_port()
        checkpointer = reverb.checkpointers.DefaultCheckpointer("/dev/null/replay")
        server = reverb.Server([table], port=port, checkpointer=checkpointer)
        self._servers.append(server)
        return f"localhost:{port}", table

    def write(self, config, address, items):
        """Writes a whole batch of items."""
        writer = BlockWriter(address, config, self.spec, 0, threading.Event())
        assert writer.write(items) == len(tree.flatten(items)[0])
        writer.close()

    def fill(self, config, address, ids):
        """Writes the transitions with these ids."""
        self.write(config, address, self.batch(ids))

    def await_priority(self, address, priority):
        """Waits until a sampled item has this priority."""
        client = reverb.Client(address)
        self.wait_until(
            lambda: any(
                sample.info.priority == priority
                for sample in client.sample(TABLE_NAME, 50, emit_timesteps=False)
            )
        )

    @staticmethod
    def read_counts(address):
        """Returns the size, inserts and samples of a server."""
        for _ in range(20):  # Until the channel to a killed server is replaced.
            with contextlib.suppress(RuntimeError):
                info = reverb.Client(address).server_info(10)[TABLE_NAME]
                break
        limiter = info.rate_limiter_info
        completed = limiter.insert_stats.completed, limiter.sample_stats.completed
        return info.current_size, *completed

    def stop(self):
        while self._servers:
            self._servers.pop().stop()

    @staticmethod
    def batch(ids):
        """Returns the transitions with these ids; each reward is its id."""
        ids = np.asarray(ids, np.int64)
        return Transition(
            observation_tm1=observe(ids),
            action_tm1=(ids % 3).astype(np.int32),
            reward_t=ids.astype(np.float32),
            discount_t=(ids / 7).astype(np.float32),
            observation_t=observe(ids + 1),
        )

    @staticmethod
    def sequences(ids, length, parts):
        """Returns the sequences with these ids; each first reward is its id.

        Their recurrent states have `parts` arrays of 5 units each.
        """
        ids = np.asarray(ids, np.int64)
        steps = ids[:, None] + np.arange(length + 1)
        now = steps[:, :-1]
        return StepSequence(
            observation=observe(steps),
            action=(now % 3).astype(np.int32),
            reward=now.astype(np.float32),
            discount=(now / 7).astype(np.float32),
            mask=(now % 2).astype(np.float32),
            carry=tuple(
                (ids[:, None] + 100.0 * part + np.arange(5)).astype(np.float32)
                for part in range(parts)
            ),
        )

    @staticmethod
    def wait_until(condition, seconds=10.0):
        """Polls a condition until it is true; fails after so many seconds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "the condition did not come true"
            time.sleep(0.01)


class Reports:
    """A coordinator that passes the gauges of each report to `note`."""

    def __init__(self, note):
        self.others_remain = False
        self.is_last = False
        self._note = note

    def report(self, node, incarnation, counts, gauges, last, evaluations):
        self._note(dict(gauges))
        self.is_last = last
        return {"progress": {}, "others_remain": self.others_remain}


@pytest.fixture
def replay():
    servers = Replay()
    yield servers
    servers.stop()

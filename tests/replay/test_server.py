import json
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import tensorflow as tf
from replay.conftest import Reports

from distrl.replay.forms import TABLE_NAME
from distrl.replay.frames import make_form
from distrl.replay.priorities import PriorityUpdater
from distrl.replay.sampler import ReplaySampler
from distrl.replay.server import make_table, serve_replay
from distrl.replay.writer import BlockWriter
from distrl.system.remote import is_listening


def test_reports_its_size_and_ends_at_stop(replay):
    config = replay.config(transitions_per_item=8, launch={"report_seconds": 0.05})
    port = replay.free_port()
    stop = threading.Event()
    reports = []
    arguments = (config, replay.spec, port, stop, Reports(reports.append))
    thread = threading.Thread(target=serve_replay, args=arguments, daemon=True)
    thread.start()
    address = f"localhost:{port}"
    replay.wait_until(lambda: reports)
    assert reports[0] == {"replay_size": 0.0, "inserted": 0.0, "sampled": 0.0}

    writer = BlockWriter(address, config, replay.spec, 0, stop)
    written = writer.write(replay.batch(range(200)))
    assert written == 200
    replay.wait_until(lambda: reports[-1]["replay_size"] == 200)
    assert reports[-1]["inserted"] == 200
    sampler = ReplaySampler(address, config, replay.spec)
    assert sampler.read() is not None
    replay.wait_until(lambda: reports[-1]["sampled"] >= 128)
    assert reports[-1]["sampled"] % 8 == 0

    # With a writer and a sampler connected.
    start = time.monotonic()
    stop.set()
    thread.join(2.0)
    assert not thread.is_alive()
    assert time.monotonic() - start < 2.0
    assert not is_listening(address, 1.0)
    writer.close()


def test_a_failing_report_ends_the_server(replay):
    port = replay.free_port()

    def report(gauges):
        raise ConnectionError("the coordinator is gone")

    with pytest.raises(ConnectionError):
        serve_replay(
            replay.config(), replay.spec, port, threading.Event(), Reports(report)
        )
    assert not is_listening(f"localhost:{port}", 1.0)


def test_a_taken_port_is_refused(replay):
    config = replay.config()
    address, _ = replay.serve(config)
    port = int(address.split(":")[1])
    with pytest.raises(RuntimeError, match=f"Port {port} is taken"):
        serve_replay(config, replay.spec, port, threading.Event(), Reports(print))


_SERVE = """
import json, sys, threading
from distrl.config.schema import Config, LaunchConfig, LearnerConfig, ReplayConfig
from distrl.replay import serve_replay
from conftest import Replay, Reports

stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
config = Replay.config(**json.loads(sys.argv[2]))
reporter = Reports(lambda gauges: print(json.dumps(gauges), flush=True))
serve_replay(config, Replay.spec, int(sys.argv[1]), stop, reporter)
"""


def test_a_server_in_another_process(replay):
    """Over gRPC: in one process, Reverb's clients go past it."""
    settings = {"transitions_per_item": 1, "kind": "prioritized"}
    config = replay.config(**settings)
    port = replay.free_port()
    here = os.path.dirname(os.path.abspath(__file__))
    path = os.pathsep.join([here, os.getcwd(), *sys.path])
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(port), json.dumps(settings)],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    address = f"localhost:{port}"
    try:
        # The server is still importing: all wait for it.
        writer = BlockWriter(address, config, replay.spec, 0, threading.Event())
        assert writer.write(replay.batch(range(100))) == 100
        writer.close()
        sampler = ReplaySampler(address, config, replay.spec)
        superbatch = sampler.read()
        got = superbatch.items
        expected = replay.batch(got.reward_t)
        for name in ("pixels", "speed"):
            np.testing.assert_array_equal(
                got.observation_t[name], expected.observation_t[name]
            )
        updater = PriorityUpdater([address], config)
        zeros = np.zeros(len(superbatch.keys))
        updater.put(superbatch.keys, superbatch.shards, zeros)
        # Items of priority 0 are no longer drawn.
        gone = set(superbatch.keys.tolist())
        replay.wait_until(lambda: not gone & set(sampler.read().keys.tolist()))
        updater.check()
        updater.close()
        gauges = {}
        while gauges.get("sampled", 0.0) < 128:
            gauges = json.loads(server.stdout.readline())
        assert gauges["replay_size"] == gauges["inserted"] == 100
        _, errors = server.communicate(timeout=30.0)
        assert server.returncode == 0, errors
    finally:
        server.kill()
        server.wait(5.0)


def test_signature_has_a_block_of_each_part(replay):
    signature = make_form(replay.config(transitions_per_item=8), replay.spec).signature
    assert signature.observation_t["pixels"] == tf.TensorSpec((8, 4, 3), tf.uint8)
    assert signature.observation_tm1["speed"] == tf.TensorSpec((8, 2), tf.float32)
    assert signature.action_tm1 == tf.TensorSpec((8,), tf.int32)
    assert signature.reward_t == signature.discount_t == tf.TensorSpec((8,), tf.float32)


@pytest.mark.parametrize(("core", "parts"), [("none", 0), ("gru", 1), ("lstm", 2)])
def test_signature_of_a_sequence_is_one_item_with_its_recurrent_state(
    replay, core, parts
):
    config = replay.config(sequence_length=4, core=core)
    signature = make_form(config, replay.spec).signature
    assert signature.observation["pixels"] == tf.TensorSpec((1, 5, 4, 3), tf.uint8)
    assert signature.action == tf.TensorSpec((1, 4), tf.int32)
    assert signature.mask == signature.reward == signature.discount
    assert signature.mask == tf.TensorSpec((1, 4), tf.float32)
    assert signature.carry == (tf.TensorSpec((1, 5), tf.float32),) * parts
    assert make_table(config, replay.spec).info.current_size == 0


def test_sizes_count_items(replay):
    config = replay.config(
        transitions_per_item=8,
        capacity=800,
        min_size=81,
        samples_per_insert=4.0,
        error_buffer=160.0,
    )
    info = make_table(config, replay.spec).info
    limiter = info.rate_limiter_info
    assert info.name == TABLE_NAME
    assert info.max_size == 100
    # 81 transitions are 11 blocks of 8; 11 * 4 - 20 and 11 * 4 + 20.
    assert limiter.min_size_to_sample == 11
    assert limiter.samples_per_insert == 4.0
    assert (limiter.min_diff, limiter.max_diff) == (24.0, 64.0)
    assert info.remover_options.fifo
    assert info.sampler_options.uniform


def test_no_ratio_means_no_limit(replay):
    table = make_table(replay.config(samples_per_insert=None), replay.spec)
    assert table.info.rate_limiter_info.max_diff == np.finfo(np.float64).max
    assert table.can_insert(10**6)


def test_an_empty_table_gives_nothing_even_with_min_size_zero(replay):
    table = make_table(replay.config(min_size=0), replay.spec)
    assert table.info.rate_limiter_info.min_size_to_sample == 1


@pytest.mark.parametrize("exponent", [0.0, 0.6])
def test_prioritized_takes_the_exponent(replay, exponent):
    config = replay.config(
        kind="prioritized", transitions_per_item=1, priority_exponent=exponent
    )
    options = make_table(config, replay.spec).info.sampler_options
    assert options.prioritized.priority_exponent == exponent
    assert options.WhichOneof("distribution") == "prioritized"

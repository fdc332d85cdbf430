import dataclasses
import threading
import time

import numpy as np
import pytest
from replay.conftest import Replay, Reports

from distrl.config.replay_sizes import replay_sizes
from distrl.replay.forms import TABLE_NAME
from distrl.replay.sampler import ReplaySampler
from distrl.replay.server import make_table, serve_replay
from distrl.replay.writer import BlockWriter
from distrl.system.remote import is_listening


def configure(tmp_path, **settings):
    return dataclasses.replace(Replay.config(**settings), run_dir=str(tmp_path))


def test_server_reports_its_counts_and_ends_on_stop(replay, tmp_path):
    launch = {"report_seconds": 0.05}
    config = configure(tmp_path, transitions_per_item=8, launch=launch)
    address, stop = f"localhost:{replay.free_port()}", threading.Event()
    reports = []
    arguments = (config, replay.spec, 0, address, Reports(reports.append), stop)
    thread = threading.Thread(target=serve_replay, args=arguments, daemon=True)
    thread.start()
    replay.wait_until(lambda: reports)
    assert reports[0] == {"replay_size": 0.0, "inserted": 0.0, "sampled": 0.0}

    writer = BlockWriter(address, config, replay.spec, 0, stop)
    written = writer.write(replay.batch(range(200)))
    assert written == 200
    replay.wait_until(lambda: reports[-1]["replay_size"] == 200)
    assert reports[-1]["inserted"] == 200
    sampler = ReplaySampler(address, config, replay.spec, replay_sizes(config).share)
    assert sampler.read() is not None
    replay.wait_until(lambda: reports[-1]["sampled"] >= 128)
    assert reports[-1]["sampled"] % 8 == 0

    # It ends although a writer and a sampler are connected.
    start = time.monotonic()
    stop.set()
    thread.join(2.0)
    assert not thread.is_alive()
    assert time.monotonic() - start < 2.0
    assert not is_listening(address, 1.0)
    writer.close()


def test_server_ends_without_an_answer_to_its_reports(replay, tmp_path):
    launch = {"report_seconds": 0.02, "silent_seconds": 0.0, "connect_seconds": 0.0}
    config, stop = configure(tmp_path, launch=launch), threading.Event()
    address = f"localhost:{replay.free_port()}"

    def report(gauges):
        raise ConnectionError("the coordinator is away")

    with pytest.raises(RuntimeError, match="coordinator has not answered"):
        serve_replay(config, replay.spec, 0, address, Reports(report), stop)
    assert not is_listening(address, 1.0)


def test_taken_port_is_refused(replay):
    config, stop = replay.config(), threading.Event()
    address, _ = replay.serve(config)
    with pytest.raises(RuntimeError, match=f"Port {address[10:]} is taken"):
        serve_replay(config, replay.spec, 0, address, Reports(print), stop)


def test_table_limits_count_blocks(replay):
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


def test_no_samples_per_insert_means_no_limit(replay):
    table = make_table(replay.config(samples_per_insert=None), replay.spec)
    assert table.info.rate_limiter_info.max_diff == np.finfo(np.float64).max
    assert table.can_insert(10**6)


def test_min_size_zero_still_requires_one_item(replay):
    table = make_table(replay.config(min_size=0), replay.spec)
    assert table.info.rate_limiter_info.min_size_to_sample == 1


@pytest.mark.parametrize("exponent", [0.0, 0.6])
def test_prioritized_table_uses_priority_exponent(replay, exponent):
    config = replay.config(
        kind="prioritized", transitions_per_item=1, priority_exponent=exponent
    )
    options = make_table(config, replay.spec).info.sampler_options
    assert options.prioritized.priority_exponent == exponent
    assert options.WhichOneof("distribution") == "prioritized"

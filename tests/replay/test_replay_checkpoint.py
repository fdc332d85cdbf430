"""What replay holds outlives its server, and its limits go on where they were."""

import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import reverb

from distrl.checkpoints import LAST, RunProgress, complete_checkpoint
from distrl.config.schema import CheckpointConfig
from distrl.replay.connection import is_listening
from distrl.replay.sampler import ReplaySampler
from distrl.replay.server import serve_replay
from distrl.replay.tables import TABLE_NAME
from distrl.replay.writer import BlockWriter

PART = "replay/0"


class Reports:
    """Asks for the checkpoint `checkpoint`, and keeps what it hears."""

    def __init__(self, checkpoint=None):
        self.checkpoint = checkpoint
        self.run_learner_steps = 0
        self.said = []

    def is_due(self):
        return False

    def send_saved(self, name, learner_steps):
        self.said.append(("saved", name, learner_steps))
        return True

    def send_failed_save(self, name, error):
        self.said.append(("failed", name, error))
        return True


class Server:
    """A replay node in a thread."""

    def __init__(self, replay, config, shard=0):
        self.port = replay.free_port()
        self.stop = threading.Event()
        self.gauges, self.reports, self.error = [], Reports(), None
        arguments = (config, replay.spec, self.port, self.stop, self.gauges.append)

        def run():
            try:
                serve_replay(*arguments, self.reports, shard)
            except BaseException as error:
                self.error = error

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        replay.wait_until(lambda: self.gauges or self.error is not None)

    @property
    def address(self):
        return f"localhost:{self.port}"

    def end(self):
        self.stop.set()
        self.thread.join(10)
        assert not self.thread.is_alive()


def configure(replay, tmp_path, save_replay=True, **settings):
    config = replay.config(
        transitions_per_item=1, launch={"report_seconds": 0.02}, **settings
    )
    return dataclasses.replace(
        config,
        run_dir=str(tmp_path),
        checkpoint=CheckpointConfig(save_replay=save_replay),
    )


def fill(replay, config, address, ids):
    writer = BlockWriter(address, config, replay.spec, 0, threading.Event())
    assert writer.write(replay.batch(ids)) == len(ids)
    writer.close()


def complete(tmp_path, number, name, parts=(PART,)):
    progress = RunProgress(learner_steps=1)
    complete_checkpoint(tmp_path, number, progress, 2, parts, name)


def ask(call):
    """Calls until the channel to a server that was killed has been made anew."""
    for _ in range(20):
        try:
            return call()
        except RuntimeError as error:
            failure = error
    raise failure


def read_info(address):
    info = ask(lambda: reverb.Client(address).server_info(10))[TABLE_NAME]
    limiter = info.rate_limiter_info
    return (
        info.current_size,
        limiter.insert_stats.completed,
        limiter.sample_stats.completed,
    )


def read_all(sampler):
    """Returns superbatches until replay has been silent for a second after one."""
    batches = []
    for _ in range(100):
        batch = sampler.read()
        if batch is not None:
            batches.append(batch)
        elif batches:
            return batches
    raise AssertionError(f"replay is never silent after {len(batches)} superbatches")


def draw(address, count):
    """Returns the priority and the reward of each item among `count` samples."""
    samples = reverb.Client(address).sample(TABLE_NAME, count, emit_timesteps=False)
    return {s.info.key: (s.info.priority, float(s.data[2].item())) for s in samples}


_HOST = """
import sys
from conftest import Replay
from test_replay_checkpoint import Replays

Replays.serve(Replay, *sys.argv[1:])
"""


class Replays:
    """The process that forks the replay server, and again when it has killed it."""

    def __init__(self, replay, config_settings, run_dir):
        self.port = replay.free_port()
        self.asked = run_dir / "asked"
        here = os.path.dirname(os.path.abspath(__file__))
        paths = os.pathsep.join([here, os.getcwd(), *sys.path])
        self.process = subprocess.Popen(
            [sys.executable, "-c", _HOST, str(run_dir), str(self.port)]
            + [json.dumps(config_settings)],
            env={**os.environ, "PYTHONPATH": paths},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def start(self):
        """Kills the server, if there is one, and starts another; waits for it."""
        self.process.stdin.write("start\n")
        self.process.stdin.flush()
        return self.read("started")

    def read(self, word):
        for line in self.process.stdout:
            if line.startswith(word):
                return line
        raise AssertionError("the server has ended")

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)

    @staticmethod
    def serve(replay, run_dir, port, settings):
        config = configure(replay, Path(run_dir), **json.loads(settings))

        class Asked(Reports):
            @property
            def checkpoint(self):
                asked = Path(run_dir, "asked")
                return asked.read_text() if asked.exists() else None

            @checkpoint.setter
            def checkpoint(self, name):
                assert name is None

            def send_saved(self, name, learner_steps):
                complete(Path(run_dir), name, name)
                print("saved", flush=True)
                return True

        child = None
        for _ in sys.stdin:
            if child is not None:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            child = os.fork()
            if child == 0:
                told = []

                def report(gauges, told=told):
                    if not told:
                        told.append(print("started", gauges, flush=True))

                stop = threading.Event()
                serve_replay(config, replay.spec, int(port), stop, report, Asked())
        os.kill(child, signal.SIGKILL)


def test_a_server_that_is_killed_goes_on_from_its_checkpoint(replay, tmp_path):
    settings = {
        "kind": "prioritized",
        "priority_exponent": 0.5,
        "min_size": 10,
        "samples_per_insert": 2.0,
        "error_buffer": 300.0,
        "capacity": 1000,
    }
    config = configure(
        replay, tmp_path, batch_size=16, steps_per_dispatch=1, **settings
    )
    replays = Replays(replay, settings, tmp_path)
    address = f"localhost:{replays.port}"
    try:
        replays.start()
        fill(replay, config, address, range(40))
        keys = list(draw(address, 100))
        assert len(keys) > 20
        client = reverb.Client(address)
        changed = {key: 1.0 + number for number, key in enumerate(keys)}
        client.mutate_priorities(TABLE_NAME, changed)
        before = read_info(address)
        assert before == (40, 40, 100)
        replays.asked.write_text("000001")
        replays.read("saved")
        # What comes after the checkpoint goes with the server.
        fill(replay, config, address, range(40, 45))
        replays.asked.unlink()
        replays.start()
        assert read_info(address) == before
        # The limit is where it was: 2 * 40 + 280 samples of 40 items, and 100 of them
        # are made. A server that begins anew would allow other numbers.
        sampler = ReplaySampler(address, config, replay.spec)
        drawn = read_all(sampler)
        assert len(drawn) == 260 // 16
        assert read_info(address) == (40, 40, 360)
        found = {}
        for batch in drawn:
            found.update(zip(batch.keys.tolist(), batch.probabilities, strict=True))
        assert len(found) > 30
        total = sum(np.sqrt(list(changed.values()))) + 40 - len(changed)
        for key, probability in found.items():
            expected = np.sqrt(changed.get(key, 1.0)) / total
            assert probability == pytest.approx(expected, rel=1e-5)
        # Eight items more allow 16 samples more.
        fill(replay, config, address, range(40, 48))
        assert len(read_all(sampler)) == 1
    finally:
        replays.close()


def test_a_stop_saves_a_last_time_and_the_next_server_holds_all(replay, tmp_path):
    config = configure(replay, tmp_path)
    server = Server(replay, config)
    fill(replay, config, server.address, range(30))
    held = draw(server.address, 1000)
    assert len(held) == 30
    replay.wait_until(lambda: server.gauges[-1]["sampled"] == 1000)
    server.end()
    assert server.error is None
    assert server.reports.said == [("saved", LAST, None)]
    complete(tmp_path, "000001", LAST)

    again = Server(replay, config)
    # The gauges of the first report count what there was before.
    assert again.gauges[0] == {"replay_size": 30, "inserted": 30, "sampled": 1000}
    assert draw(again.address, 1000) == held
    fill(replay, config, again.address, range(30, 35))
    replay.wait_until(lambda: again.gauges[-1]["replay_size"] == 35)
    # Reverb's own directory is empty again: all is in the checkpoint.
    again.end()
    scratch = tmp_path / "checkpoints" / ".scratch-replay-0"
    assert list(scratch.iterdir()) == []


def test_a_checkpoint_is_saved_while_replay_is_in_use(replay, tmp_path):
    config = configure(replay, tmp_path)
    server = Server(replay, config)
    fill(replay, config, server.address, range(30))
    server.reports.checkpoint = "000007"
    while not server.reports.said:
        draw(server.address, 5)
        fill(replay, config, server.address, range(5))
    assert server.reports.said == [("saved", "000007", None)]
    server.end()


def test_before_the_first_sample_nothing_is_saved_at_the_stop(replay, tmp_path):
    config = configure(replay, tmp_path)
    server = Server(replay, config)
    fill(replay, config, server.address, range(30))
    replay.wait_until(lambda: server.gauges[-1]["replay_size"] == 30)
    server.end()
    assert (server.error, server.reports.said) == (None, [])


def test_each_shard_goes_on_from_its_own_part(replay, tmp_path, capfd):
    config = configure(replay, tmp_path, shards=2)
    servers = [Server(replay, config, shard) for shard in range(2)]
    for server, size in zip(servers, (30, 20), strict=True):
        fill(replay, config, server.address, range(size))
    draw(servers[0].address, 5)
    replay.wait_until(lambda: servers[0].gauges[-1]["sampled"] == 5)
    # The other one was sampled in an earlier life, which the learner went on from.
    servers[1].reports.run_learner_steps = 8
    for server in servers:
        server.end()
        assert (server.error, server.reports.said) == (None, [("saved", LAST, None)])
    complete(tmp_path, "000001", LAST, ["replay/0", "replay/1"])
    # Whichever comes first, none takes the other's part.
    for shard, held in ((1, (20, 20, 0)), (0, (30, 30, 5))):
        again = Server(replay, config, shard)
        assert read_info(again.address) == held
        again.end()
        said = capfd.readouterr().out
        assert f"replay/{shard} goes on from checkpoint 000001 of learner" in said


def test_replay_can_be_left_out(replay, tmp_path):
    config = configure(replay, tmp_path)
    server = Server(replay, config)
    fill(replay, config, server.address, range(30))
    draw(server.address, 5)
    replay.wait_until(lambda: server.gauges[-1]["sampled"] == 5)
    server.end()
    complete(tmp_path, "000001", LAST)
    # There is a part; but it is not asked for, neither to read nor to write.
    config = configure(replay, tmp_path, save_replay=False)
    server = Server(replay, config)
    assert server.gauges[0] == {"replay_size": 0, "inserted": 0, "sampled": 0}
    server.reports.checkpoint = "000002"
    fill(replay, config, server.address, range(3))
    draw(server.address, 5)
    replay.wait_until(lambda: server.gauges[-1]["sampled"] == 5)
    server.end()
    assert (server.error, server.reports.said) == (None, [])


def test_a_full_disk_is_told_and_replay_goes_on(replay, tmp_path):
    config = configure(replay, tmp_path)
    server = Server(replay, config)
    fill(replay, config, server.address, range(300))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        server.reports.checkpoint = "000001"
        replay.wait_until(lambda: server.reports.said)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    ((word, name, error),) = server.reports.said
    assert (word, name) == ("failed", "000001")
    assert "File too large" in error
    assert len(draw(server.address, 100)) > 10
    server.reports.checkpoint = "000002"
    replay.wait_until(lambda: len(server.reports.said) == 2)
    assert server.reports.said[1] == ("saved", "000002", None)
    server.end()


def test_what_was_saved_of_another_replay_is_refused(replay, tmp_path):
    config = configure(replay, tmp_path)
    server = Server(replay, config)
    fill(replay, config, server.address, range(3))
    draw(server.address, 1)
    replay.wait_until(lambda: server.gauges[-1]["sampled"] == 1)
    server.end()
    complete(tmp_path, "000001", LAST)
    other = dataclasses.replace(
        replay.spec, observation={"pixels": replay.spec.observation["pixels"]}
    )
    port = replay.free_port()
    with pytest.raises(RuntimeError, match="signature"):
        serve_replay(config, other, port, threading.Event(), print)
    assert not is_listening(f"localhost:{port}", 1.0)

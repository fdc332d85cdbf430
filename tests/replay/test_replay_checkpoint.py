"""Replay servers restore their items and limits from checkpoints."""

import dataclasses
import threading
from concurrent import futures

import numpy as np
import pytest
import reverb
from file_limits import file_limit
from mortal_servers import MortalServer, serve_shard
from replay.conftest import Reports

import distrl.replay.writer
from distrl.checkpoints.layout import RunProgress, begin_part, complete_checkpoint
from distrl.config.replay_sizes import replay_sizes
from distrl.config.schema import CheckpointConfig
from distrl.replay.forms import TABLE_NAME
from distrl.replay.sampler import ReplaySampler
from distrl.replay.server import save_shard, serve_replay
from distrl.system.remote import is_listening

PART = "replay/0"


class Server:
    """A replay node in a thread."""

    def __init__(self, replay, config, shard=0):
        self.address = f"localhost:{replay.free_port()}"
        self.stop = threading.Event()
        self.gauges, self.error = [], None
        self.reports = Reports(self.gauges.append)
        ends = (self.address, self.reports, self.stop)

        def run():
            try:
                serve_replay(config, replay.spec, shard, *ends)
            except BaseException as error:
                self.error = error

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        replay.wait_until(lambda: self.gauges or self.error is not None)

    def end(self):
        self.stop.set()
        self.thread.join(10)
        assert not self.thread.is_alive()
        assert self.error is None
        assert self.reports.is_last


def configure(replay, tmp_path, save_replay=True, **settings):
    config = replay.config(
        transitions_per_item=1, launch={"report_seconds": 0.02}, **settings
    )
    return dataclasses.replace(
        config,
        run_dir=str(tmp_path),
        checkpoint=CheckpointConfig(save_replay=save_replay),
    )


@pytest.fixture(autouse=True)
def patient_writers(monkeypatch):
    """Makes writers wait for confirmations, however busy the machine is.

    Reverb sends unconfirmed items again, to the next server at the address.
    """
    monkeypatch.setattr(distrl.replay.writer, "_SLICE_SECONDS", 30.0)


def save(run_dir, addresses, name="000001"):
    """Saves a checkpoint of these shards."""
    for shard, address in enumerate(addresses):
        save_shard(address, begin_part(run_dir, name, f"replay/{shard}"), lambda: True)
    progress = RunProgress(learner_steps=1)
    return complete_checkpoint(run_dir, name, progress, 2)


def read_all(sampler):
    """Returns all superbatches until replay gives no more."""
    batches = []
    for _ in range(100):
        batch = sampler.read()
        if batch is not None:
            batches.append(batch)
        elif batches:
            return batches
    raise AssertionError(f"replay is never silent after {len(batches)} superbatches")


def draw(address, count):
    """Returns (priority, reward) by key of the items in `count` samples."""
    samples = reverb.Client(address).sample(TABLE_NAME, count, emit_timesteps=False)
    return {s.info.key: (s.info.priority, float(s.data[2].item())) for s in samples}


def test_killed_server_continues_from_its_checkpoint(replay, tmp_path):
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
    server = MortalServer(serve_shard, config, replay.spec, 0)
    address = server.address
    try:
        server.start()
        replay.fill(config, address, range(40))
        keys = list(draw(address, 100))
        assert len(keys) > 20
        client = reverb.Client(address)
        changed = {key: 1.0 + number for number, key in enumerate(keys)}
        client.mutate_priorities(TABLE_NAME, changed)
        before = replay.read_counts(address)
        assert before == (40, 40, 100)
        save(tmp_path, [address])
        # Items written after the checkpoint are lost with the server.
        replay.fill(config, address, range(40, 45))
        server.kill()
        server.start()
        assert replay.read_counts(address) == before
        # The limit is restored: 40 items allow 2 * 40 + 280 samples, of which 100 were
        # drawn. A server that started empty would allow another number.
        sampler = ReplaySampler(
            address, config, replay.spec, replay_sizes(config).share
        )
        drawn = read_all(sampler)
        assert len(drawn) == 260 // 16
        assert replay.read_counts(address) == (40, 40, 360)
        found = {}
        for batch in drawn:
            found.update(zip(batch.keys.tolist(), batch.probabilities, strict=True))
        assert len(found) > 30
        total = sum(np.sqrt(list(changed.values()))) + 40 - len(changed)
        for key, probability in found.items():
            expected = np.sqrt(changed.get(key, 1.0)) / total
            assert probability == pytest.approx(expected, rel=1e-5)
        # Eight more items allow exactly 16 more samples, by the server's own count.
        replay.fill(config, address, range(40, 48))
        replay.wait_until(
            lambda: (
                sampler.read() is None and replay.read_counts(address) == (48, 48, 376)
            )
        )
        assert sampler.read() is None
        assert replay.read_counts(address) == (48, 48, 376)
    finally:
        server.kill()


def test_stopped_server_serves_until_the_learner_ends(replay, tmp_path):
    server = Server(replay, configure(replay, tmp_path))
    replay.fill(configure(replay, tmp_path), server.address, range(3))
    server.reports.others_remain = True
    server.stop.set()
    reports = len(server.gauges)
    replay.wait_until(lambda: len(server.gauges) > reports + 2)
    save(tmp_path, [server.address])
    assert not server.reports.is_last
    server.reports.others_remain = False
    server.end()
    # With save_replay false it does not wait for the learner.
    config = configure(replay, tmp_path, save_replay=False)
    server = Server(replay, config)
    server.reports.others_remain = True
    server.end()


def test_each_shard_continues_from_its_own_part(replay, tmp_path, capfd):
    config = configure(replay, tmp_path, shards=2)
    servers = [Server(replay, config, shard) for shard in range(2)]
    for server, size in zip(servers, (30, 20), strict=True):
        replay.fill(config, server.address, range(size))
    draw(servers[0].address, 5)
    save(tmp_path, [server.address for server in servers])
    for server in servers:
        server.end()
    # Shard 1 starts first, and still restores its own part.
    for shard, held in ((1, (20, 20, 0)), (0, (30, 30, 5))):
        again = Server(replay, config, shard)
        assert replay.read_counts(again.address) == held
        again.end()
        said = capfd.readouterr().out
        assert f"replay/{shard} continues from checkpoint 000001 of learner" in said


def test_replay_is_not_restored_without_save_replay(replay, tmp_path):
    server = Server(replay, configure(replay, tmp_path))
    replay.fill(configure(replay, tmp_path), server.address, range(30))
    save(tmp_path, [server.address])
    server.end()
    # The checkpoint has a part of this shard, which is not loaded.
    server = Server(replay, configure(replay, tmp_path, save_replay=False))
    assert server.gauges[0] == {"replay_size": 0, "inserted": 0, "sampled": 0}
    server.end()


def test_full_disk_fails_the_save_but_not_replay(replay, tmp_path):
    config = configure(replay, tmp_path)
    server = Server(replay, config)
    replay.fill(config, server.address, range(300))
    with file_limit(100), pytest.raises(RuntimeError, match="File too large"):
        save(tmp_path, [server.address])
    assert len(draw(server.address, 100)) > 10
    assert save(tmp_path, [server.address]).find_part(PART) is not None
    server.end()


def test_save_waits_for_restarting_shard(replay, tmp_path):
    server = MortalServer(serve_shard, configure(replay, tmp_path), replay.spec, 0)
    server.start()
    try:
        save(tmp_path, [server.address])
        server.kill()
        with pytest.raises(RuntimeError, match=f"no answer from {server.address}"):
            save(tmp_path, [server.address], "000002")
        with futures.ThreadPoolExecutor(1) as executor:
            asked = threading.Event()
            part = begin_part(tmp_path, "000002", PART)
            saved = executor.submit(
                save_shard, server.address, part, lambda: asked.set() or False
            )
            assert asked.wait(30)
            server.start()
            saved.result(30)
        assert part.is_dir()
    finally:
        server.kill()


def test_checkpoint_with_another_signature_is_refused(replay, tmp_path):
    config = configure(replay, tmp_path)
    server = Server(replay, config)
    replay.fill(config, server.address, range(3))
    save(tmp_path, [server.address])
    server.end()
    other = dataclasses.replace(
        replay.spec, observation={"pixels": replay.spec.observation["pixels"]}
    )
    ends = (server.address, Reports(print), threading.Event())
    with pytest.raises(RuntimeError, match="signature"):
        serve_replay(config, other, 0, *ends)
    assert not is_listening(server.address, 1.0)

"""Training runs over four shards of replay: solved, resumed, and one shard killed."""

import os
import signal

import pytest
from integration.commands import ENDLESS, resume, train
from integration.restored import restore_replay

from distrl.checkpoints.layout import find_newest_checkpoint
from distrl.config import load_run
from distrl.environments import read_spec
from distrl.telemetry.status import read_status

SHARDS = [f"replay/{shard}" for shard in range(4)]
SHARDED = ["--replay.shards=4", "--actor.count=4"]
SERVERS = [*SHARDED, "--replay.sampled_on=server"]


def restore_all(run_dir):
    """Returns the items, inserts and samples of each shard in the newest checkpoint."""
    config = load_run(str(run_dir))
    spec = read_spec(config.environment, {})
    return [restore_replay(config, spec, shard) for shard in range(4)]


def await_learner_steps(command, learner_steps):
    def read():
        status = read_status(command.run_dir)
        return status if status and status.learner_steps >= learner_steps else None

    return command.await_value(read)


def test_learner_that_reads_four_queues_solves_catch(tmp_path):
    with train(tmp_path / "run", *SHARDED) as command:
        assert command.finish() == 0, command.stderr
    assert command.result["evaluation_return"] >= 0.95
    assert command.result["restarts"] == {}


def test_four_shards_solve_catch_and_are_resumed(tmp_path):
    run_dir = tmp_path / "run"
    with train(run_dir, *SERVERS) as command:
        assert command.finish() == 0, command.stderr
        command.assert_nothing_is_left()
    assert command.result["evaluation_return"] >= 0.95
    assert command.result["restarts"] == {}
    assert [name for name in command.nodes if name.startswith("replay")] == SHARDS

    # The shards are balanced, apart from what is under way.
    found = find_newest_checkpoint(run_dir, pytest.fail, verify=True)
    assert all(found.find_part(name) for name in ["learner", *SHARDS])
    before = restore_all(run_dir)
    sizes, inserts, samples = zip(*before, strict=True)
    assert sizes == inserts
    env_steps = found.progress.env_steps
    # Replay counts blocks of 32 transitions. Those that still wait in the actors, or
    # came after replay was saved, do not increase with the length of the run.
    assert env_steps - 6_000 <= 32 * sum(sizes) <= env_steps
    assert max(samples) - min(samples) <= 0.3 * max(samples)
    status = read_status(run_dir)
    # The last report may be older than the saved replay.
    assert 0 < status.replay_size <= 32 * sum(sizes)

    flags = [*ENDLESS, f"--stop.learner_steps={found.progress.learner_steps + 400}"]
    with resume(run_dir, *flags) as command:
        assert command.finish() == 0, command.stderr
    for name in SHARDS:
        log = (run_dir / "logs" / f"{name}.log").read_text()
        assert f"{name} continues from {found.describe()}" in log
    for then, now in zip(before, restore_all(run_dir), strict=True):
        assert all(a < b for a, b in zip(then, now, strict=True))


@pytest.mark.slow
def test_killed_shard_is_restored_while_others_serve(
    tmp_path,
):
    run_dir = tmp_path / "run"
    flags = [*SERVERS, *ENDLESS, "--launch.restart_delay_seconds=8"]
    with train(run_dir, *flags, "--checkpoint.period_learner_steps=300") as command:
        command.await_line("training")
        await_learner_steps(command, 100)
        while (found := find_newest_checkpoint(run_dir, print)) is None:
            await_learner_steps(command, 100)
        victim = command.pid_of("replay/2")
        os.kill(victim, signal.SIGKILL)
        struck = await_learner_steps(command, found.progress.learner_steps)
        await_learner_steps(command, struck.learner_steps + 200)
        # No node has been restarted yet.
        assert command.pid_of("replay/2") == victim
        command.await_line("replay/2 was killed by SIGKILL; restarted (1)")
        again = await_learner_steps(command, struck.learner_steps)
        await_learner_steps(command, again.learner_steps + 600)
        command.process.send_signal(signal.SIGTERM)
        assert command.finish() == 143
        command.assert_nothing_is_left()
    assert command.result["restarts"] == {"replay/2": 1}
    log = (run_dir / "logs" / "replay" / "2.log").read_text()
    assert "replay/2 continues from checkpoint" in log
    ended = find_newest_checkpoint(run_dir, pytest.fail, verify=True)
    assert ended.progress.learner_steps == command.result["learner_steps"]
    counts = restore_all(run_dir)
    # The restarted shard served again: 75 superbatches, with 16 items of each shard.
    assert all(samples > 600 // 8 * 16 // 2 for _, _, samples in counts)
    # It lost what came after its checkpoint, and the others served more instead.
    assert min(counts, key=lambda count: count[2]) == counts[2]

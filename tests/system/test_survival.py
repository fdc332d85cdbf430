"""An actor and a learner outlive every server that they talk to."""

import time

import courier
import numpy as np
import pytest
import reverb
from counting_environments import SPEC
from mortal_servers import MortalServer, make_coordinator, serve_object, serve_replay
from real_services import Services, wait_until

from distrl.actor.role import run_actor
from distrl.config import config_from_dict
from distrl.learner.role import run_learner
from distrl.replay import TABLE_NAME
from distrl.variables import VariableService


@pytest.fixture
def services():
    started = Services()
    yield started
    started.close()


class Program:
    """An actor and a learner in threads, and their servers in processes."""

    def __init__(self, services, run_dir):
        config = config_from_dict(
            {
                "run_dir": str(run_dir),
                "environment": "counting_environments:Counting",
                "network": {"factory": "mlp", "args": {"hidden_sizes": [4]}},
                "actor": {"environments": 2, "fetch_seconds": 0.05},
                "replay": {
                    "kind": "prioritized",
                    "min_size": 16,
                    "samples_per_insert": 4.0,
                },
                "learner": {
                    "batch_size": 8,
                    "steps_per_dispatch": 2,
                    "publish_period": 20,
                },
                "launch": {"report_seconds": 0.05},
            }
        )
        self.servers = {
            "replay": MortalServer(serve_replay, config, SPEC),
            "variables": MortalServer(serve_object, VariableService),
            "coordinator": MortalServer(serve_object, make_coordinator, config),
        }
        for server in self.servers.values():
            server.start()
        replay = self.servers["replay"].address
        clients = [
            courier.Client(self.servers[name].address, call_timeout=10)
            for name in ("variables", "coordinator")
        ]
        self.futures = [
            services.start(
                run_learner, config, SPEC, [replay], *clients, services.stop
            ),
            services.start(run_actor, config, SPEC, 0, replay, *clients, services.stop),
        ]

    def counts(self):
        """What the roles have reported, all their lives of the coordinator."""
        address = self.servers["coordinator"].address
        client = courier.Client(address, call_timeout=10)
        answer = client.futures.report("probe", "", {}, {}, True).result()["progress"]
        return np.array([answer["env_steps"], answer["learner_steps"]])

    def await_progress(self):
        """Waits until both have gone on by a good deal; returns how long that took."""
        began = time.monotonic()
        before = self.counts()
        wait_until(lambda: np.all(self.counts() >= before + 50), *self.futures)
        return time.monotonic() - began

    def count_inserts(self):
        client = reverb.Client(self.servers["replay"].address)
        info = client.server_info(timeout=10)[TABLE_NAME]
        return info.rate_limiter_info.insert_stats.completed

    def newest_version(self):
        address = self.servers["variables"].address
        client = courier.Client(address, call_timeout=10)
        return client.futures.newest_version().result()


def test_they_go_on_when_servers_are_killed_and_started_anew(services, tmp_path):
    program = Program(services, tmp_path)
    program.await_progress()
    for victims in (["replay"], ["variables", "coordinator"], list(program.servers)):
        for name in victims:
            program.servers[name].kill()
        # Long enough for a gRPC channel to back off for seconds.
        assert not services.stop.wait(1.5)
        for name in victims:
            program.servers[name].start()
        assert program.await_progress() < 6, victims
        wait_until(lambda: program.newest_version() >= 1, *program.futures)
    # They have nobody to tell, but go on.
    program.servers["coordinator"].kill()
    before = program.count_inserts()
    wait_until(lambda: program.count_inserts() > before + 100, *program.futures)
    services.stop.set()
    for future in program.futures:
        future.result(10)
    for server in program.servers.values():
        server.kill()

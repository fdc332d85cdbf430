"""Actors report faults of environments and keep them out of replay."""

import threading

import numpy as np
import pytest
import reverb
from integration.faulty_environments import FAULTS, RaisesInStep, Sound
from real_services import publish

from distrl.actor.role import run_actor
from distrl.config import ActorConfig, Config, LaunchConfig, NetworkConfig, ReplayConfig
from distrl.coordinator import Coordinator
from distrl.environments import make_spec
from distrl.errors import EnvironmentFault
from distrl.replay import TABLE_NAME
from distrl.replay.forms import make_form
from distrl.variables import VariableService

SPEC = make_spec(Sound())
# The transitions of both environments before the faulty step.
GOOD = 2 * (Sound.fault_at - 1)


@pytest.fixture
def replay(services):
    """The address and the table of a replay queue."""
    config = Config(replay=ReplayConfig(transitions_per_item=1))
    queue = reverb.Table.queue(
        TABLE_NAME, 400, signature=make_form(config, SPEC).signature
    )
    return services.serve_replay(config, SPEC, queue)


def act(tmp_path, replay, fault):
    """Runs an actor in environments with this fault until it ends."""
    config = Config(
        run_dir=str(tmp_path),
        environment=f"integration.faulty_environments:{fault.__name__}",
        network=NetworkConfig("example_networks:constant", head="none"),
        actor=ActorConfig(environments=2),
        replay=ReplayConfig(transitions_per_item=1),
        launch=LaunchConfig(report_seconds=0.02),
    )
    stop = threading.Event()
    variables = VariableService()
    publish(variables, 0, {"~": {"q": np.array([1, 0], np.float32)}})
    coordinator = Coordinator(config, stop, stop.set)
    try:
        run_actor(config, SPEC, 0, replay[0], variables, coordinator, stop)
    finally:
        stop.set()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_environment_fault_is_named_and_kept_from_replay(tmp_path, replay, fault):
    address, table = replay
    with pytest.raises(EnvironmentFault) as caught:
        act(tmp_path, replay, fault)
    assert caught.match(f"^environment 0 .*{FAULTS[fault]}")
    count = table.info.current_size
    # At most 40 items are unsent when an actor dies.
    assert GOOD - 40 <= count <= GOOD
    client = reverb.Client(address)
    for sample in client.sample(TABLE_NAME, count, emit_timesteps=False):
        before, action, reward, discount, after = sample.data
        for observation in (before, after):
            assert observation.shape == (1, 3)
            assert np.all((observation >= 0) & (observation <= 1))
        assert reward == 1.0
        assert action in (0, 1)
        assert 0 <= discount <= 1


def test_environment_fault_has_the_original_cause(tmp_path, replay):
    with pytest.raises(EnvironmentFault) as caught:
        act(tmp_path, replay, RaisesInStep)
    assert isinstance(caught.value.__cause__, ValueError)
    assert str(caught.value.__cause__) == "the paddle fell off"

"""The probe of `distrl doctor --cluster`, on this machine."""

import importlib.metadata
import socket
import subprocess
import sys
import time

from ray import cloudpickle

from distrl.launch.cluster import probe
from distrl.launch.cluster.probe import Probe


def test_versions():
    versions = Probe().read_versions(["jax", "no-such-package"])
    jax = importlib.metadata.version("jax")
    assert versions == {"Python": "3.10", "jax": jax, "no-such-package": None}


def test_the_machine():
    facts = Probe().read_machine()
    assert facts["name"] == socket.gethostname()
    assert facts["cores"] >= 1
    assert facts["files"] != 0


def test_devices_are_those_of_a_fresh_process(monkeypatch):
    # Ray sets it to nothing where no accelerator was asked for.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("JAX_PLATFORMS", "no_such_platform")
    devices, error = Probe().read_devices(180.0)
    assert error == ""
    assert devices


def test_without_jax_the_reason_is_told(monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nonexistent")
    devices, error = Probe().read_devices(180.0)
    assert devices == []
    assert error


def test_a_python_that_does_not_answer_is_not_waited_for():
    assert Probe().read_devices(0.01) == ([], "JAX had not answered after 0.01 s")


def test_the_clock():
    before = time.time()
    assert before <= Probe().read_clock() <= time.time()


def test_who_listens_is_reached_and_who_does_not_is_named():
    listening = Probe()
    with socket.create_server(("localhost", 0)) as server:
        closed = server.getsockname()[1]
    places = [("localhost", listening.listen()), ("localhost", closed)]
    (unreachable,) = Probe().find_unreachable(places, 3.0)
    assert unreachable.startswith(f"localhost:{closed} (")
    assert "refused" in unreachable


def test_it_runs_where_distrl_is_not():
    cloudpickle.register_pickle_by_value(probe)
    try:
        blob = cloudpickle.dumps(Probe)
    finally:
        cloudpickle.unregister_pickle_by_value(probe)
    code = (
        "import pickle, sys; sys.modules['distrl'] = None; "
        "probe = pickle.load(sys.stdin.buffer)(); print(probe.read_clock() > 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=blob, capture_output=True, timeout=60
    )
    assert done.stdout.strip() == b"True", done.stderr.decode()

"""Runs start from any directory, with proxies set, and from user scripts."""

import contextlib
import os
import socket
import tempfile
import threading

import pytest
from integration.commands import CATCH
from pythons import run_python

# An environment that leaves the directory to which its search path is relative.
_MOVING = """
import os
from bsuite.environments.catch import Catch

class Moving(Catch):
    "Leaves the directory that it was started in, and imports from it afterwards."

    def __init__(self):
        assert os.environ["http_proxy"]
        os.chdir("/")
        super().__init__()

    def _step(self, action):
        import late
        return super()._step(late.same(action))
"""
_TORSO = """
from distrl.networks.mlp import make_mlp

def make(spec):
    return make_mlp(spec, hidden_sizes=[8])
"""
_SHADOWED = ("uuid", "random", "token", "logging", "queue", "difflib", "colorsys")


@contextlib.contextmanager
def proxy():
    """Listens as a proxy does; yields its address and the requests that it gets."""
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        asked.append(connection.recv(100).decode(errors="replace"))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", asked
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture
def place(tmp_path):
    """A directory with user modules, and files that shadow standard modules."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "moving.py").write_text(_MOVING)
    (tmp_path / "mine" / "late.py").write_text("def same(action): return action\n")
    (tmp_path / "torso.py").write_text(_TORSO)
    for name in _SHADOWED:
        (tmp_path / f"{name}.py").write_text(f"raise RuntimeError({name!r})\n")
    return tmp_path


def start(place, *arguments, **variables):
    kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    environment = {**kept, "http_proxy": "http://127.0.0.1:9", **variables}
    return run_python(*arguments, timeout=280, cwd=place, env=environment)


_OTHERS = [
    pytest.param(backend, marks=pytest.mark.slow)
    for backend in ("threads", "launchpad", "ray")
]


@pytest.mark.parametrize("backend", ["processes", "serial", *_OTHERS])
def test_run_needs_neither_working_directory_nor_proxy(place, backend):
    # Ray needs a short path for its sockets.
    with proxy() as (address, asked), tempfile.TemporaryDirectory() as temporary:
        names = ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy")
        # Isolated nodes could not reach the proxy.
        flags = ["--launch.isolate=false", f"--launch.backend={backend}"]
        # The actor and its environment process both build the environment.
        flags += ["--actor.count=1", "--actor.environment_processes=1"]
        done = start(
            place,
            *["-m", "distrl", "train", str(CATCH), "--environment=moving:Moving"],
            *["--network.factory=torso:make", "--network.args={}", "--run_dir=run"],
            *["--stop.env_steps=2000", "--stop.evaluation_return=null", *flags],
            **dict.fromkeys(names, address),
            **dict.fromkeys(map(str.upper, names), address),
            PYTHONPATH="mine",
            TMPDIR=temporary,
        )
        assert done.returncode == 0, done.stderr
        # Ray's dashboard asks by GET whether it is in a cloud.
        assert not [text for text in asked if not text.startswith("GET ")], asked
        # Neither pickles nor Ray's sockets are left.
        assert os.listdir(temporary) == []
    assert (place / "run" / "result.json").exists()


_SERIAL = {"launch.backend": "serial"}
_UNGUARDED = """
import os
from bsuite.environments.catch import Catch
from distrl import load_config, run

with open("starts.txt", "a") as file:
    file.write(f"{os.getpid()}\\n")

class Mine(Catch):
    pass

%s
config = load_config(%r, {"environment": "script:Mine", "run_dir": "run", **CHANGES})
print(run(config).result["status"])
"""


@pytest.mark.parametrize(
    ("changes", "command"),
    [
        (_SERIAL, ["script.py"]),
        ({**_SERIAL, "actor.environment_processes": 1}, ["-c", "import script"]),
    ],
)
def test_script_without_main_guard_is_refused(tmp_path, changes, command):
    script = _UNGUARDED % (f"CHANGES = {changes!r}", str(CATCH))
    (tmp_path / "script.py").write_text(script)
    done = start(tmp_path, *command, PYTHONPATH="")
    assert done.returncode == 1
    line = 1 + script.splitlines().index('print(run(config).result["status"])')
    assert done.stderr.strip().splitlines()[-1] == (
        "distrl.errors.ConfigError: the module 'script' starts a run when it is "
        "imported, and every process of a run imports it: put the call below "
        f'`if __name__ == "__main__":` ({tmp_path / "script.py"}:{line})'
    )
    # Once by the user, and once by the check of the environment.
    assert len((tmp_path / "starts.txt").read_text().splitlines()) == 2
    assert not (tmp_path / "run").exists()


def test_check_env_starts_no_run(tmp_path):
    (tmp_path / "script.py").write_text(_UNGUARDED % ("CHANGES = {}", str(CATCH)))
    done = start(tmp_path, "-m", "distrl", "check-env", "script:Mine")
    assert done.returncode == 2
    assert "'script' starts a run when it is imported" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()

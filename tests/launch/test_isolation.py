"""Inside the private network nothing is reachable but loopback."""

import subprocess
import sys

from distrl.launch.isolation import probe_isolation

_INSIDE = """
import errno, socket
from distrl.launch.isolation import enter_isolation
refusal = enter_isolation()
if refusal is not None:
    print("refused", refusal)
else:
    server = socket.create_server(("localhost", 0))
    socket.create_connection(server.getsockname(), timeout=5)
    try:
        socket.create_connection(("192.0.2.1", 9), timeout=5)
    except OSError as error:
        print("isolated", errno.errorcode[error.errno])
"""


def test_loopback_works_and_the_network_does_not():
    answer = subprocess.run(
        [sys.executable, "-c", _INSIDE], capture_output=True, text=True, check=True
    )
    expected = "isolated ENETUNREACH" if probe_isolation() is None else "refused"
    assert answer.stdout.startswith(expected), answer.stderr


def test_a_process_with_threads_can_ask():
    first, second = probe_isolation(), probe_isolation()
    assert first == second

"""A log that cannot be written ends nothing."""

import subprocess
import sys

from distrl.system.node_log import say

_FULL = """
import sys
from distrl.system.node_log import say
sys.stdout = open("/dev/full", "w")
say("lost")
sys.stderr.write("went on")
sys.stderr.flush()
import os
os._exit(0)
"""


def test_a_line_is_printed(capsys):
    say("checkpoint 1")
    assert capsys.readouterr().out == "checkpoint 1\n"


def test_a_full_disk_is_no_error():
    command = [sys.executable, "-c", _FULL]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.stderr == "went on"

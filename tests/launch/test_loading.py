"""What a process gets ready before nodes are forked from it."""

import subprocess
import sys

import pytest

from distrl.launch.loading import load_function


def test_a_function_is_found_by_its_address():
    assert load_function("distrl.launch.loading:load_function") is load_function
    with pytest.raises(AttributeError, match="absent"):
        load_function("distrl.launch.loading:absent")


def test_output_goes_to_a_file_that_is_added_to(tmp_path):
    log = tmp_path / "x.log"
    log.write_text("before\n")
    code = (
        "import sys; from distrl.launch.loading import redirect_output\n"
        "redirect_output(sys.argv[1])\n"
        "print('out', flush=True); print('err', file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(log)], capture_output=True, timeout=60
    )
    assert (done.stdout, done.stderr) == (b"", b"")
    assert log.read_text() == "before\nout\nerr\n"

"""What was freed leaves the process, also what a thread freed."""

import threading

import psutil

from distrl.checkpoints.freed_memory import return_freed_memory

# Below the size for which an allocation is given back by itself.
_BLOCK = 64 * 1024
_BLOCKS = 2000
_MIB = 2**20


def test_freed_memory_is_given_back():
    process = psutil.Process()
    pins = []

    def work():
        blocks = [bytearray(_BLOCK) for _ in range(_BLOCKS)]
        # What lies behind the freed blocks keeps them from being given back.
        pins.append(bytearray(_BLOCK))
        blocks.clear()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    held = process.memory_info().rss
    return_freed_memory()
    given_back = held - process.memory_info().rss
    assert given_back > 0.5 * _BLOCKS * _BLOCK, f"{given_back / _MIB:.0f} MiB"


def test_it_may_be_called_again():
    return_freed_memory()
    return_freed_memory()

"""Finds the processes that a test started, by an environment variable."""

import psutil


def find_marked(variable: str, mark: str, *words: str) -> list[psutil.Process]:
    """Returns the processes with a mark that have one of the words in their command."""
    found = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            if (
                process.environ().get(variable) == mark
                and any(word in command for word in words or [""])
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found


def assert_all_end(processes: list[psutil.Process], seconds: float) -> None:
    """Fails if one of the processes still exists after some seconds."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    assert not alive, [(p.pid, p.cmdline()) for p in alive]

"""The files that the front keeps of a run: its nodes, their restarts, the result."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from distrl.launch.messages import Restarted
from distrl.launch.run_directory import write_program, write_result
from distrl.telemetry.csv_log import CsvLog

_COLUMNS = ("time", "node", "cause", "restarts")


class Records:
    """Writes program.json, metrics/launcher.csv and result.json.

    Changed states wait for `flush`, since a thousand nodes may end at once. A full disk
    does not end a run; it is reported once.
    """

    def __init__(self, run_dir: Path, note: Callable[[str], object]):
        """Takes the run directory, and what shows a line to the user."""
        self._run_dir = run_dir
        self._note = note
        self._nodes: dict[str, dict[str, Any]] = {}
        self._changed = False
        self._complained = False

    @property
    def has_nodes(self) -> bool:
        """Whether the nodes have been started."""
        return bool(self._nodes)

    @property
    def restarts(self) -> dict[str, int]:
        """The number of restarts of each node that was restarted."""
        counts = {name: facts["restarts"] for name, facts in self._nodes.items()}
        return {name: count for name, count in counts.items() if count > 0}

    def start(self, nodes: Mapping[str, Mapping[str, Any]]) -> None:
        """Records where each node is: host, devices, address, pid."""
        for name, facts in nodes.items():
            self._nodes[name] = {**facts, "state": "running", "restarts": 0}
        self._changed = True
        self.flush()

    def set_state(self, name: str, state: str) -> None:
        """Records the state of a node."""
        self._nodes[name]["state"] = state
        self._changed = True

    def restart(self, event: Restarted) -> None:
        """Records that a node was restarted, and tells the user.

        A node that moved is only recorded: the user knows of the loss of a machine.
        """
        facts = self._nodes[event.name]
        facts.update(pid=event.pid, state="running", restarts=event.restarts)
        facts.update(event.moved or {})
        self._changed = True
        row = {
            "time": round(time.time(), 3),
            "node": event.name,
            "cause": event.cause,
            "restarts": event.restarts,
        }
        self._write(lambda: self._append(row))
        if event.moved is None:
            # Before the note, so that its reader finds the new process in program.json.
            self.flush()
            self._note(f"{event.name} {event.cause}; started again ({event.restarts})")

    def flush(self) -> None:
        """Writes program.json if a node has changed."""
        if self._changed:
            self._changed = False
            self._write(lambda: write_program(self._run_dir, self._nodes))

    def end(self, result: Mapping[str, Any]) -> None:
        """Records how the run ended; nodes that still run were killed."""
        for facts in self._nodes.values():
            if facts["state"] in ("running", "restarting"):
                facts["state"] = "killed"
        self._changed = True
        self.flush()
        self._write(lambda: write_result(self._run_dir, result))
        unsaved = result.get("unsaved_learner_steps")
        if unsaved:
            self._note(
                f"the last checkpoint was not saved: {unsaved:,} learner steps are "
                f"lost; {self._run_dir / 'logs'} may say why"
            )

    def _append(self, row: Mapping[str, Any]) -> None:
        log = CsvLog(self._run_dir / "metrics" / "launcher.csv", _COLUMNS)
        log.write(row)
        log.close()

    def _write(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            if not self._complained:
                self._complained = True
                self._note(f"{self._run_dir} cannot be written to: {error}")

"""The files that the front keeps of a run: its nodes, their restarts, the result."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from distrl.launch.messages import Facts, NodeChanged
from distrl.system.output import write_json
from distrl.system.versions import read_versions
from distrl.telemetry.csv_log import CsvLog


class Records:
    """Writes program.json, metrics/launcher.csv and result.json.

    Changed states wait for `flush`, since a thousand nodes may end at once. A full disk
    does not end a run; it is reported once.
    """

    def __init__(self, run_dir: Path, note: Callable[[str], object]):
        """Takes the run directory, and what shows a line to the user."""
        self._run_dir = run_dir
        self._note = note
        self.nodes: dict[str, Facts] = {}
        """What program.json says of each node, once they have been started."""
        self._changed = False
        self._complained = False

    @property
    def restarts(self) -> dict[str, int]:
        """The number of restarts of each node that was restarted."""
        counts = {name: facts["restarts"] for name, facts in self.nodes.items()}
        return {name: count for name, count in counts.items() if count > 0}

    def start(self, nodes: Mapping[str, Facts]) -> None:
        """Records where each node is: host, devices, address, pid."""
        for name, facts in nodes.items():
            self.nodes[name] = {**facts, "state": "running", "restarts": 0}
        self._changed = True
        self.flush()

    def change(self, event: NodeChanged) -> None:
        """Records that a node changed, and a restart in metrics/launcher.csv, too."""
        facts = self.nodes[event.name]
        facts.update(event.facts, state=event.state)
        self._changed = True
        if event.cause is None:
            return
        row = {
            "time": round(time.time(), 3),
            "node": event.name,
            "cause": event.cause,
            "restarts": facts["restarts"],
        }
        file = self._run_dir / "metrics" / "launcher.csv"
        with self._reporting(), contextlib.closing(CsvLog(file, tuple(row))) as log:
            log.write(row)

    def flush(self) -> None:
        """Writes program.json if a node has changed."""
        if not self._changed:
            return
        self._changed = False
        listed = [{"name": name, **facts} for name, facts in self.nodes.items()]
        content = {"nodes": listed, "versions": read_versions()}
        with self._reporting():
            write_json(self._run_dir / "program.json", content, durable=False)

    def end(self, result: Mapping[str, Any]) -> None:
        """Records how the run ended; nodes that still run were killed."""
        for facts in self.nodes.values():
            if facts["state"] in ("running", "restarting"):
                facts["state"] = "killed"
        self._changed = True
        self.flush()
        with self._reporting():
            write_json(self._run_dir / "result.json", result)
        if unsaved := result["unsaved_learner_steps"]:
            self._note(
                f"the last checkpoint was not saved: {unsaved:,} learner steps are "
                f"lost; {self._run_dir / 'logs'} may say why"
            )

    @contextlib.contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not self._complained:
                self._complained = True
                self._note(f"{self._run_dir} cannot be written to: {error}")

"""Carries out a `CheckpointPlan`: begins, completes and throws away checkpoints.

The nodes save the parts. To complete a checkpoint all of it is read once more, so that
is done in a thread.
"""

import threading

from distrl.checkpoints import (
    LAST,
    complete_checkpoint,
    discard_partial,
    discard_partials,
)
from distrl.config import Config
from distrl.coordinator.memory import Memory, write_memory
from distrl.coordinator.plan import Attempt, CheckpointPlan
from distrl.node_log import say


class CheckpointDirector:
    """The coordinator's hand in the checkpoints of a run.

    The methods that say so are called with the lock held, and return at once.
    """

    def __init__(
        self,
        config: Config,
        memory: Memory,
        now: float,
        lock: threading.Lock,
        changed: threading.Event,
    ):
        """Makes a director.

        Args:
          config: its `checkpoint` group, and `run_dir`; without one nothing is saved.
          memory: of the run; the director notes in it what is saved.
          now: in seconds of a monotonic clock.
          lock: guards the memory.
          changed: is set when a checkpoint has been completed.
        """
        self._run_dir = config.run_dir
        self._keep = config.checkpoint.keep
        self._memory = memory
        self._lock = lock
        self._changed = changed
        # The nodes that save, and the names of their parts.
        self.parts = frozenset(
            {"learner", *config.replay.shard_names}
            if config.checkpoint.save_replay
            else {"learner"}
        )
        # A life of the coordinator's may be shorter than the period.
        self._plan = CheckpointPlan(
            config.checkpoint,
            self.parts,
            now - max(0.0, memory.seconds - memory.checkpointed_at),
            memory.checkpoint or 0,
            memory.number,
        )
        self._ready: Attempt | None = None
        self._given_up: list[str] = []
        self._final_failed = False
        self._thread: threading.Thread | None = None
        self._unwritten = False

    @property
    def wanted(self) -> str | None:
        """The name of the checkpoint that is being made; with the lock held."""
        return self._plan.wanted

    def forget(self, node: str) -> None:
        """Gives up what a node was to save, now that it was restarted; with the lock.

        Its part and the others would not belong together.
        """
        if node in self.parts and self._plan.attempt is not None:
            self._give_up(f"{node} was restarted", again=True)

    def take(self, node: str, name: str, learner_steps: int | None) -> None:
        """Notes that a node's part is whole; with the lock held."""
        attempt = self._plan.take(node, name, learner_steps)
        if attempt is not None:
            self._ready = attempt

    def take_failure(self, node: str, name: str, error: str) -> None:
        """Notes that a node's part cannot be saved; with the lock held."""
        if name == self._plan.wanted:
            self._give_up(f"{node} could not save its part: {error}")
        elif name == LAST:
            self._fail(f"the last checkpoint: {node} could not save its part: {error}")
            self._final_failed = True

    def direct(self, now: float, seconds: float) -> bool:
        """Does what is due now; True if a checkpoint was begun.

        Args:
          now: in seconds of a monotonic clock.
          seconds: that the run has taken.
        """
        if self._run_dir is None:
            return False
        begun = None
        with self._lock:
            if self._plan.attempt is not None and self._plan.is_late(now):
                missing = ", ".join(sorted(self._plan.attempt.missing))
                self._give_up(f"{missing} took longer than checkpoint.save_seconds")
            given_up, self._given_up = self._given_up, []
            if self._ready is None and not self._is_completing():
                progress = self._memory.to_progress(seconds)
                begun = self._plan.begin_if_due(now, progress)
                self._memory.number = self._plan.number
        for name in given_up:
            discard_partial(self._run_dir, name)
        if begun is not None:
            # The rest is of an attempt that nobody waits for any more. Nodes may have
            # heard of this one already, and of the end of the run.
            discard_partials(self._run_dir, keep=(begun.name, LAST))
        self._complete_ready()
        return begun is not None

    def end(self, seconds: float) -> bool:
        """Completes the last checkpoints, one a call; True when nothing is left to do.

        Args:
          seconds: that the run has taken.
        """
        if self._run_dir is None:
            return True
        if self._is_completing() or self._complete_ready():
            return False
        with self._lock:
            final = self._plan.end(self._memory.to_progress(seconds))
            self._memory.number = self._plan.number
            if final is not None and not final.missing:
                self._ready = final
            elif final is not None and self._memory.counts.total("learner_steps"):
                self._lament(final)
        if not self._complete_ready():
            discard_partials(self._run_dir)
            return True
        return False

    def remember(self, seconds: float) -> None:
        """Writes the memory to the disk; says so once if the disk refuses."""
        if self._run_dir is None:
            return
        with self._lock:
            text = self._memory.to_json(seconds)
        try:
            write_memory(self._run_dir, text)
            self._unwritten = False
        except OSError as error:
            if not self._unwritten:
                say(f"the counts of the run cannot be written: {error}")
            self._unwritten = True

    def _give_up(self, reason: str, again: bool = False) -> None:
        attempt = self._plan.give_up(again)
        assert attempt is not None
        self._given_up.append(attempt.name)
        self._fail(f"checkpoint {attempt.name} was given up: {reason}")

    def _fail(self, line: str) -> None:
        self._memory.failed_saves += 1
        say(line)

    def _lament(self, final: Attempt) -> None:
        if not self._final_failed:
            missing = ", ".join(sorted(final.missing))
            self._fail(f"the last checkpoint: {missing} was not saved")

    def _is_completing(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _complete_ready(self) -> bool:
        """Begins to complete a checkpoint whose parts are there; False without one."""
        with self._lock:
            attempt, self._ready = self._ready, None
        if attempt is None:
            return False
        self._thread = threading.Thread(
            target=self._complete, args=(attempt,), name="checkpoint", daemon=True
        )
        self._thread.start()
        return True

    def _complete(self, attempt: Attempt) -> None:
        assert self._run_dir is not None
        try:
            # A coordinator that is killed right after must not know of fewer steps than
            # the checkpoint from which a learner goes on.
            self.remember(attempt.progress.seconds)
            whole = complete_checkpoint(
                self._run_dir,
                attempt.number,
                attempt.progress,
                self._keep,
                self.parts,
                attempt.name,
            )
        except Exception as error:
            with self._lock:
                self._fail(f"checkpoint {attempt.number} was given up: {error}")
            discard_partial(self._run_dir, attempt.name)
        else:
            with self._lock:
                self._memory.checkpoint = whole.progress.learner_steps
                self._memory.checkpointed_at = whole.progress.seconds
            say(f"saved {whole.describe()}")
        self._changed.set()

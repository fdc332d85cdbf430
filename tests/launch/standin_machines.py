"""Stand-ins for the machines of a cluster, and for the front that asks for a run."""

import queue
import select

from distrl.launch.messages import Described, Ready, Stage

SECONDS = 10.0


class StoodInMachine:
    """A machine that says what a test has it say, and keeps what it is sent."""

    def __init__(self, key, names, tell, token=None):
        self.key, self.names, self.token = key, names, token
        self.ip, self.place, self.has_ended = "", {}, False
        self._tell = tell
        self._sent = queue.SimpleQueue()

    def __str__(self):
        return f"machine {self.ip or self.key}"

    def send(self, message):
        self._sent.put(message)

    def kill(self):
        self.has_ended = True

    def say(self, *messages):
        for message in messages:
            self._tell(self, message)

    def arrive(self, sees_run_dir=True):
        """Describes itself, and has imported everything."""
        self.say(Described(f"ip-{self.key}", sees_run_dir, {"host": "h"}), Ready())

    def read(self, kind):
        """Returns the next message that it is sent, which must be of a kind."""
        message = self._sent.get(timeout=SECONDS)
        assert isinstance(message, kind)
        return message


def read_next(front):
    """Returns the next message to the front, stages left out."""
    while True:
        assert select.select([front], [], [], SECONDS)[0]
        message = front.receive()
        assert message is not None
        if not isinstance(message, Stage):
            return message

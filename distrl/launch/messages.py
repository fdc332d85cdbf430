"""Every message between the processes of the launcher, by who sends it to whom.

    front <-> host <- nodes                          on one machine
    front <-> driver <-> machine agent <-> zygote <- nodes      on a cluster

The host runs the supervisor of its nodes, or the driver of a cluster; a zygote runs the
supervisor of its machine's nodes.
"""

import base64
import dataclasses
import json
import pickle
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import cloudpickle

NodeStatus = Literal["running", "restarting", "ended", "failed", "killed"]


class Message:
    """What a `Channel` carries: a frozen dataclass of plain data and of such."""


# The parts of messages.


@dataclass(frozen=True)
class Failure(Message):
    """Why a run failed. A node also sends it to its supervisor, about itself.

    Attributes:
      node: the node that failed, or `launcher`.
      traceback: its traceback, or a sentence.
    """

    node: str
    traceback: str


@dataclass(frozen=True)
class Assignment(Message):
    """The nodes that run on one machine, and where the others are.

    Attributes:
      restarts: the nodes of this machine, with how often each was started before.
      addresses: all addresses of each node of the program; a node that is missing is
        only called on this machine.
      environments: environment variables of single nodes of this machine.
    """

    restarts: dict[str, int]
    addresses: dict[str, list[str]] = field(default_factory=dict)
    environments: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def of_all(cls, names: Iterable[str]) -> "Assignment":
        """Returns the assignment of a whole program to this machine."""
        return cls(dict.fromkeys(names, 0))


# From the front to the host.


@dataclass(frozen=True)
class Launch(Message):
    """The first message: what to run.

    Attributes:
      payload: `pack((config, program))`. Unpacking may import the user's modules, so
        the host does that once it is isolated.
      isolate: whether to enter a private network.
      resumes: how often the run was resumed.
      token: a file that the machines of a cluster look for, to know whether they share
        the run's disk.
      scratch: a temporary directory that the front removes.
    """

    payload: str
    isolate: bool = False
    resumes: int = 0
    token: str | None = None
    scratch: str | None = None


@dataclass(frozen=True)
class Start(Message):
    """The checks passed and the run directory is ready: start the nodes.

    The lock of the run directory comes with it.

    Attributes:
      payload: `pack(config)`.
      log: where the host's own output goes from now on.
    """

    payload: str
    log: str


@dataclass(frozen=True)
class Stop(Message):
    """End the nodes. Also from a driver to a zygote, and from a node, by `lp.stop`."""


# From the host to the front. A zygote tells the driver the same of its nodes.


@dataclass(frozen=True)
class Stage(Message):
    """What the run is doing now."""

    text: str


@dataclass(frozen=True)
class Note(Message):
    """A line that the user must see."""

    text: str


@dataclass(frozen=True)
class NotIsolated(Message):
    """The system refused a private network."""

    reason: str


@dataclass(frozen=True)
class Refused(Message):
    """The run cannot start as it is configured: a `ConfigError` for the user."""

    text: str


@dataclass(frozen=True)
class Checked(Message):
    """The checks passed; the host waits for `Start`.

    Attributes:
      devices: those that share a superbatch, in words.
    """

    devices: str


@dataclass(frozen=True)
class Started(Message):
    """The nodes run.

    Attributes:
      nodes: what program.json says of each, by its name.
    """

    nodes: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class NodeChanged(Message):
    """A node changed its state."""

    name: str
    state: NodeStatus


@dataclass(frozen=True)
class Restarted(Message):
    """A node was started again.

    Attributes:
      name: of the node.
      pid: of its new process.
      cause: how the one before ended, in words that follow the name.
      restarts: how often it has been restarted.
      moved: where it is now, if a machine was lost.
    """

    name: str
    pid: int
    cause: str
    restarts: int
    moved: dict[str, Any] | None = None


@dataclass(frozen=True)
class Stopping(Message):
    """The nodes of this machine were told to stop; the driver stops the others."""


@dataclass(frozen=True)
class Saving(Message):
    """Some nodes need longer than `launch.stop_seconds` to save a checkpoint."""


@dataclass(frozen=True)
class Ended(Message):
    """All nodes have ended; the last message."""

    error: Failure | None = None


# From a node to its supervisor: `Stop`, `Failure`, and


@dataclass(frozen=True)
class Sign(Message):
    """A sign of life.

    Attributes:
      node: its name.
      pid: of the process.
      looked: whether the main thread has looked at its stop flag since the last one.
    """

    node: str
    pid: int
    looked: bool


# From the driver to a zygote, through its machine's agent: these in turn, and `Stop`.


@dataclass(frozen=True)
class Import(Message):
    """Import what nodes need.

    Attributes:
      payload: `pack((config, program))`.
      sys_path: where the launcher finds modules.
    """

    payload: str
    sys_path: list[str]


@dataclass(frozen=True)
class CheckParts(Message):
    """Try environment, network and devices, with these environment variables."""

    environment: dict[str, str]


@dataclass(frozen=True)
class Build(Message):
    """Make the program, and take free ports for these nodes.

    Attributes:
      session: the environment variables of this start of the program.
      log: the name of the zygote's log.
      spec: `pack(environment spec)`.
      names: the nodes of this machine.
    """

    session: dict[str, str]
    log: str
    spec: str
    names: list[str]


@dataclass(frozen=True)
class StartNodes(Message):
    """Start the nodes of this machine."""

    assignment: Assignment


# From a zygote to the driver, beside what a host tells the front.


@dataclass(frozen=True)
class Ready(Message):
    """Everything is imported."""


@dataclass(frozen=True)
class PartsChecked(Message):
    """The answer to `CheckParts`.

    Attributes:
      spec: `pack(environment spec)`.
      devices: those that share a superbatch, in words.
    """

    spec: str
    devices: str


@dataclass(frozen=True)
class Bound(Message):
    """The answer to `Build`: the ports of each node."""

    ports: dict[str, list[int]]


# From a machine's agent, or the thread that talks to it, to the driver.


@dataclass(frozen=True)
class Described(Message):
    """The first message of a machine.

    Attributes:
      ip: its address.
      sees_run_dir: whether it shares the disk of the run directory.
      place: what program.json says about the machine.
    """

    ip: str
    sees_run_dir: bool
    place: dict[str, Any]


@dataclass(frozen=True)
class Closed(Message):
    """The zygote has ended; `printed` is the last that it printed."""

    printed: str


@dataclass(frozen=True)
class Lost(Message):
    """The machine does not run its nodes any more; its last message.

    Attributes:
      reason: why, in words that follow the machine's name.
      printed: the last that its zygote printed.
    """

    reason: str
    printed: str = ""


_KINDS = {kind.__name__: kind for kind in Message.__subclasses__()}
# The key of a message's type in its JSON; no field of a dataclass can be called so.
_KIND = "@"


def to_bytes(message: Message) -> bytes:
    """Returns a message as JSON."""
    return json.dumps(message, default=_to_plain).encode()


def from_bytes(data: bytes) -> Message:
    """Returns the message that `to_bytes` was given."""
    return json.loads(data, object_hook=_from_plain)


def pack(value: Any) -> str:
    """Returns any value, also a function of a script, as text for a message."""
    return base64.b64encode(cloudpickle.dumps(value)).decode()


def unpack(text: str) -> Any:
    """Returns the value that `pack` was given."""
    return pickle.loads(base64.b64decode(text))


def _to_plain(message: Message) -> dict[str, Any]:
    assert dataclasses.is_dataclass(message), message
    return {_KIND: type(message).__name__, **vars(message)}


def _from_plain(plain: dict[str, Any]) -> Any:
    kind = _KINDS.get(plain.pop(_KIND, ""))
    return plain if kind is None else kind(**plain)

"""The messages between the processes of the launcher, by who sends them to whom.

    front <-> host <- nodes                                     on one machine
    front <-> driver <-> machine agent <-> zygote <- nodes      on a cluster

The host runs the supervisor of its nodes, or the driver of a cluster; a zygote runs the
supervisor of its machine's nodes.
"""

import pickle
from dataclasses import dataclass, field
from typing import Any, Literal

import cloudpickle

NodeStatus = Literal["running", "restarting", "ended", "failed", "killed"]
Facts = dict[str, Any]
"""What program.json says of a node."""


class Message:
    """What a `Channel` carries: a frozen dataclass of plain data and other messages.

    What a reader must not import at once, or not at all, is packed.
    """


# The first message of the front to the host, and of the driver to a zygote.


@dataclass(frozen=True)
class Launch(Message):
    """Prepare to run a program on this machine."""

    payload: bytes
    """`pack((config, program))`; unpacking may import the user's modules."""
    exposure: str | None = None
    """Why the network is not to be private; None: enter one, before anything else."""
    resumes: int = 0
    """How often the run was resumed."""
    token: str = ""
    """A file by which machines of a cluster know whether they share the run's disk."""
    scratch: str = ""
    """A temporary directory, which is removed after the run."""


@dataclass(frozen=True)
class Import(Message):
    """Prepare to run nodes on this machine of a cluster."""

    payload: bytes
    sys_path: list[str]
    """The search path of the driver."""
    ip: str
    """The address of this machine."""
    token: str
    """A file that the machine sees if it shares the run's disk."""
    session: dict[str, str]
    """The environment variables of this start of the program."""
    nodes: dict[str, int]
    """How many ports to bind for each node of this machine."""
    check: dict[str, str] | None = None
    """Check environment, network and devices, with these environment variables."""


# From the front to the host.


@dataclass(frozen=True)
class Start(Message):
    """Start the nodes; the lock of the run directory comes with the message."""


@dataclass(frozen=True)
class Stop(Message):
    """End the nodes; sent upwards by a node (`lp.stop`), and by a zygote that ends."""


# From the host to the front, and from a zygote to the driver.


@dataclass(frozen=True)
class Stage(Message):
    """What the run is doing now."""

    text: str


@dataclass(frozen=True)
class Note(Message):
    """A line that the user must see."""

    text: str


@dataclass(frozen=True)
class Refused(Message):
    """The run cannot start as it is configured: the text of a `ConfigError`."""

    text: str


@dataclass(frozen=True)
class Checked(Message):
    """The checks passed; `devices`, in words, share a superbatch. Answer: `Start`."""

    devices: str
    sampled_on: Literal["learner", "server"] | None
    """`replay.sampled_on`, as given or chosen."""


@dataclass(frozen=True)
class Started(Message):
    """The nodes run."""

    nodes: dict[str, Facts]


@dataclass(frozen=True)
class NodeChanged(Message):
    """A node changed its state; `facts` are those that changed with it."""

    name: str
    state: NodeStatus
    facts: Facts = field(default_factory=dict)
    cause: str | None = None
    """Why it was restarted, in words that follow the name; None if it was not."""


@dataclass(frozen=True)
class Saving(Message):
    """Some nodes need longer than `launch.stop_seconds` to save a checkpoint."""


@dataclass(frozen=True)
class Failure(Message):
    """Why a run failed: the node, or `launcher`, and a traceback or a sentence.

    A node sends it to its supervisor, about itself.
    """

    node: str
    traceback: str


@dataclass(frozen=True)
class Ended(Message):
    """All nodes, or a check, have ended; the last message."""

    error: Failure | None = None


@dataclass(frozen=True)
class Told(Message):
    """From a check to the process that forked it: a value, or its error."""

    value: Any


@dataclass(frozen=True)
class Sign(Message):
    """A node's sign of life; `looked`: at its stop flag, in the main thread, since."""

    node: str
    pid: int
    looked: bool


# Between the driver and a zygote, through its machine's agent.


@dataclass(frozen=True)
class Ready(Message):
    """Everything is imported and checked, and ports are bound. Answer: `StartNodes`."""

    ports: dict[str, list[int]]
    """Those of each node."""
    checked: Checked | None
    """The result of the check, if this machine made it."""
    parts: bytes
    """`pack((config, environment spec))`, with what was checked."""


@dataclass(frozen=True)
class StartNodes(Message):
    """Make the program, and start the nodes of this machine."""

    restarts: dict[str, int]
    """The nodes of this machine, with how often each was restarted before."""
    addresses: dict[str, list[str]] = field(default_factory=dict)
    """Of the nodes of the program; one that is missing is only called here."""
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    """Environment variables of single nodes of this machine."""
    parts: bytes = b""
    """As in `Ready`."""


@dataclass(frozen=True)
class Lost(Message):
    """The agent has lost its zygote; its last message."""

    reason: str
    """In words that follow the name of the machine."""
    printed: str = ""
    """The last that the zygote printed."""


def pack(value: Any) -> bytes:
    """Returns any value, even a function of a script, for a reader that imports it."""
    return cloudpickle.dumps(value)


def unpack(data: bytes) -> Any:
    """Returns the value that `pack` was given."""
    return pickle.loads(data)

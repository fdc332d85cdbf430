"""The backends: ways to run the nodes of a program."""

from dataclasses import dataclass

OUR_PROGRAM = "distrl.program:make_program"
"""The program of `distrl train`."""


@dataclass(frozen=True)
class Backend:
    """A way to run the nodes of a program."""

    run: str
    """`module:function` of `run(program, config, channel, request)`, which runs in the
    host until all nodes have ended; the request is the front's `Launch`."""
    is_one_process: bool = False
    is_cluster: bool = False
    """Whether it checks and starts the nodes on other machines. It sends `Checked`, and
    gets None for our own program."""
    program: str | None = None
    """The only program that it runs; None runs any."""

    @property
    def needs_launchpad(self) -> bool:
        """Whether it runs Launchpad programs, and so needs the distributed tier."""
        return self.program is None


BACKENDS = {
    "processes": Backend("distrl.launch.processes:run_processes"),
    "threads": Backend("distrl.launch.threads:run_threads", is_one_process=True),
    "launchpad": Backend("distrl.launch.plain_launchpad:run_launchpad"),
    "serial": Backend(
        "distrl.launch.serial:run_loop",
        is_one_process=True,
        program="distrl.launch.serial:make_loop",
    ),
    "ray": Backend("distrl.launch.cluster.driver:run_cluster", is_cluster=True),
}
"""By the value of `launch.backend`."""

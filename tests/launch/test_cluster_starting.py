"""What machines are told, from their first import to running nodes."""

import pytest

from distrl.config import Config
from distrl.errors import ConfigError
from distrl.launch.cluster.site import Site
from distrl.launch.cluster.starting import Starter, check_disk
from distrl.launch.messages import (
    AddNodes,
    Assignment,
    Bound,
    Build,
    CheckParts,
    PartsChecked,
    Ready,
)

NAMES = ["replay/0", "learner", "actor/0"]

CHECKED = PartsChecked("spec", "2 x cpu")


class Recorder:
    """A link that keeps what is sent, and whether its machine's files are brought."""

    def __init__(self):
        self.sent = []
        self.is_collected = False

    def send(self, message):
        self.sent.append(message)

    def collect(self):
        self.is_collected = True


@pytest.fixture
def starter():
    stages = []
    made = Starter(
        Config(run_dir="/runs/x"),
        NAMES,
        {"SESSION": "s"},
        "/runs/.token",
        stages.append,
    )
    made.stages = stages
    return made


@pytest.fixture
def sites():
    return [
        Site(Recorder(), 0, NAMES[:2], ip="10.0.0.1"),
        Site(Recorder(), 1, NAMES[2:], ip="10.0.0.2"),
    ]


def tell(starter, sites, index, message):
    starter.note(sites[index], message)
    starter.advance(sites)
    return [type(message) for site in sites for message in site.link.sent]


def test_the_learners_machine_checks_once_it_has_imported(starter, sites):
    starter.devices["learner"] = "3"
    assert tell(starter, sites, 1, Ready()) == []
    assert tell(starter, sites, 0, Ready()) == [CheckParts]
    assert sites[0].link.sent[0].environment == {"CUDA_VISIBLE_DEVICES": "3"}
    assert starter.stages == ["checking bsuite:catch/0"]
    assert tell(starter, sites, 1, Ready()) == [CheckParts]


def test_nothing_is_built_before_there_is_a_run_directory(starter, sites):
    for index in (0, 1):
        tell(starter, sites, index, Ready())
    assert not starter.approve(sites)
    assert tell(starter, sites, 0, CHECKED) == [CheckParts]
    sites[1].ip, ip = "", sites[1].ip
    assert not starter.approve(sites)
    sites[1].ip = ip
    assert starter.approve(sites) == "2 x cpu"
    assert not starter.approve(sites), "it is said once"
    starter.begin()
    starter.advance(sites)
    for site in sites:
        built = site.link.sent[-1]
        assert isinstance(built, Build)
        assert (built.spec, built.names) == ("spec", site.names)
    assert starter.token == "/runs/x/config.yaml"


def start_all(starter, sites):
    for index in range(len(sites)):
        tell(starter, sites, index, Ready())
    tell(starter, sites, 0, CHECKED)
    starter.begin()
    starter.advance(sites)
    tell(starter, sites, 1, Bound({"actor/0": []}))
    assert sites[1].state == "bound"
    tell(starter, sites, 0, Bound({"replay/0": [7], "learner": []}))


def test_all_start_once_the_last_address_is_known(starter, sites):
    starter.restarts["actor/0"] = 2
    start_all(starter, sites)
    assert starter.called == {"replay/0"}
    assigned = [site.link.sent[-1].assignment for site in sites]
    assert [each.addresses for each in assigned] == [{"replay/0": ["10.0.0.1:7"]}] * 2
    assert [each.restarts for each in assigned] == [
        {"replay/0": 0, "learner": 0},
        {"actor/0": 2},
    ]
    assert all(site.state == "starting" for site in sites)


def test_an_answer_that_comes_twice_starts_nothing_twice(starter, sites):
    start_all(starter, sites)
    count = len(sites[0].link.sent)
    tell(starter, sites, 0, Bound({"replay/0": [9], "learner": []}))
    assert len(sites[0].link.sent) == count
    assert sites[0].state == "starting"


def test_nodes_that_come_late_wait_until_the_others_run(starter, sites):
    start_all(starter, sites)
    sites[1].late = ["learner"]
    starter.start_late(sites[1])
    assert sites[1].late == ["learner"]
    sites[1].state = "running"
    starter.start_late(sites[1])
    assert sites[1].link.sent[-1] == AddNodes(
        Assignment({"learner": 0}, {"replay/0": ["10.0.0.1:7"]})
    )
    assert (sites[1].names, sites[1].late) == (["actor/0", "learner"], [])


def test_a_machine_without_the_disk_writes_to_a_directory_of_its_own(starter, sites):
    sites[1].own = "/tmp/own"
    start_all(starter, sites)
    (built,) = [m for m in sites[1].link.sent if isinstance(m, Build)]
    assert built.run_dir == "/tmp/own"
    assert [site.link.is_collected for site in sites] == [False, True]


def test_nodes_that_save_need_the_disk(sites):
    for site in sites:
        check_disk(site, "/runs/x")
        site.own = "/tmp/own"
    check_disk(sites[1], "/runs/x")
    with pytest.raises(ConfigError) as caught:
        check_disk(sites[0], "/runs/x")
    for word in ("10.0.0.1", "/runs/x", "replay/0, learner", "node:ADDRESS"):
        assert word in str(caught.value)


def test_program_json_says_where_a_node_is_and_what_decides_its_devices(starter, sites):
    sites[0].place = {"machine": "10.0.0.1", "host": "a", "memory_mib": 7}
    starter.devices = {"learner": "2,3"}
    place = starter.describe_place(sites[0], "learner")
    variables = place.pop("device_variables")
    assert place == sites[0].place
    assert variables["CUDA_VISIBLE_DEVICES"] == "2,3"
    others = starter.describe_place(sites[0], "replay/0")["device_variables"]
    assert "CUDA_VISIBLE_DEVICES" not in others
    assert others["JAX_PLATFORMS"] == "cpu"

"""How far the machines of a run are, and what is said when one is lost."""

import pytest

from distrl.launch.cluster.site import (
    Site,
    are_bound,
    describe_loss,
    find_bound_to_disk,
)

CALLED = frozenset({"replay/0"})


class Nobody:
    """A link that leads nowhere."""

    key = "abc"


def make_site(*names, state="importing", ip="10.0.0.1"):
    return Site(Nobody(), 0, list(names), ip=ip, state=state)


@pytest.mark.parametrize(
    ("states", "called", "bound"),
    [
        (("bound", "bound"), None, True),
        # Until it is known who is called, everybody could be.
        (("bound", "building"), None, False),
        (("bound", "building"), CALLED, True),
        (("running", "importing"), CALLED, True),
        (("ready", "bound"), CALLED, False),
        (("starting", "ended"), CALLED, True),
    ],
)
def test_nodes_start_once_all_who_are_called_have_addresses(states, called, bound):
    sites = [
        make_site("replay/0", "learner", state=states[0]),
        make_site("actor/0", state=states[1]),
    ]
    assert are_bound(sites, called) is bound


def test_a_site_has_begun_once_its_nodes_were_told_to():
    begun = {
        state: make_site(state=state).has_begun
        for state in ("importing", "ready", "building", "bound", "starting", "running")
    }
    assert [state for state, is_so in begun.items() if is_so] == ["starting", "running"]


def test_nodes_that_come_later_are_there_as_well():
    site = make_site("actor/0")
    site.late.append("actor/1")
    assert site.all_names == ["actor/0", "actor/1"]


def test_a_loss_is_one_line_that_says_what_is_done():
    site = make_site("actor/0", "evaluator")
    assert describe_loss(site, "left the cluster", False) == (
        "machine 10.0.0.1 left the cluster, and actor/0, evaluator with it; "
        "started again elsewhere"
    )
    line = describe_loss(make_site("replay/0", ip=""), "left", True)
    assert line.startswith("machine abc left, and replay/0 with it; ")
    assert line.endswith("all start again from the newest checkpoint")


def test_who_saves_is_bound_to_the_disk():
    names = ["variables", "coordinator", "replay/0", "learner", "actor/0", "evaluator"]
    bound = ["coordinator", "replay/0", "learner", "evaluator"]
    assert find_bound_to_disk(names) == bound

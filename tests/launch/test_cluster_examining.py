"""The doctor's findings about the machines of a cluster."""

import socket

import pytest

from distrl.errors import ConfigError
from distrl.launch.cluster.examining import (
    Examiner,
    examine_cluster,
    judge_clock,
    judge_ports,
    judge_versions,
)
from distrl.types import Finding


def test_package_versions_must_match_local_ones():
    here = {"jax": "0.4.38", "distrl": "1"}
    assert judge_versions(here, dict(here)) == Finding(
        "versions", "ok", "2 packages as here"
    )
    finding = judge_versions(here, {"jax": "0.5"})
    assert finding.state == "failed"
    assert "jax 0.5, here 0.4.38" in finding.found
    assert "distrl not installed, here 1" in finding.found
    assert finding.advice


@pytest.mark.parametrize(
    ("offset", "uncertainty", "state"),
    [(0.0, 0.001, "ok"), (-0.9, 0.0, "ok"), (3.0, 2.5, "ok"), (-3.0, 0.1, "warning")],
)
def test_clock_offset_beyond_tolerance_is_warning(offset, uncertainty, state):
    finding = judge_clock(offset, uncertainty)
    assert finding.state == state
    assert f"{offset:+.3f} s" in finding.found
    assert bool(finding.advice) == (state != "ok")


def test_examiner_reports_checks_and_unreachable_ports():
    examiner = Examiner()
    known = f"127.0.0.1:{examiner.read_port()}"
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        deaf = f"127.0.0.1:{closed.getsockname()[1]}"
        found = Finding("x", "ok", "y")
        findings = examiner.run([lambda: [found], list], {}, [known, deaf])
    _, versions, checked, ports = findings
    assert (versions.state, checked, ports.state) == ("failed", found, "failed")
    assert ports.found == f"cannot reach {deaf}"
    assert "firewall" in ports.advice
    assert judge_ports([known]).state == "ok"
    examiner._server.close()


def test_malformed_cluster_address_is_refused():
    with pytest.raises(ConfigError, match="--cluster = 'ray://x:1'"):
        list(examine_cluster("ray://x:1", [], 1.0))

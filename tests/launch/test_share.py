"""The share of a machine is plain data."""

import dataclasses
import json

from distrl.launch.share import Share


def test_a_share_gets_through_a_channel():
    share = Share({"actor/0": 2}, {"replay/0": ["10.0.0.1:5"]}, {"actor/0": {"A": "b"}})
    assert Share(**json.loads(json.dumps(dataclasses.asdict(share)))) == share


def test_all_of_a_program_has_started_nowhere_before():
    assert Share.of_all(["learner", "actor/0"]).restarts == {"learner": 0, "actor/0": 0}

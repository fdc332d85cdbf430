"""Values packed for messages."""

from distrl.config import Config
from distrl.launch.messages import pack, unpack


def test_packed_value_may_contain_lambda():
    config, function = unpack(pack((Config(seed=3), lambda x: x + 1)))
    assert (config.seed, function(1)) == (3, 2)

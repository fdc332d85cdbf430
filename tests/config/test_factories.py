import sys

import pytest

from distrl.config.factories import Named, check_keywords, find_factory, load_factory
from distrl.errors import ConfigError

KNOWN = {"sqrt": Named("The root.", "math:sqrt"), "log": Named("", "math:log")}


def test_find_factory_by_name_and_by_address():
    assert find_factory("field", "sqrt", KNOWN)(9.0) == 3.0
    assert find_factory("field", "math:hypot", KNOWN)(3.0, 4.0) == 5.0


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("sqtr", ["field", "'sqtr'", "Did you mean 'sqrt'?", "log, sqrt"]),
        (":sqrt", ["field", "':sqrt' is not an address", "package.module:factory"]),
        ("math:", ["'math:' is not an address"]),
        ("math:a:b", ["'math' has no 'a:b'"]),
        ("mth.x:sqrt", ["there is no module 'mth'", "PYTHONPATH"]),
        ("numpi:array", ["there is no module 'numpi'", "Did you mean 'numpy'?"]),
        ("distrl.enviroments:f", ["'distrl.enviroments'", "mean 'environments'?"]),
        ("os.nothing:sqrt", ["there is no module 'os.nothing'"]),
        ("math:sqtr", ["'math' has no 'sqtr'", "Did you mean 'sqrt'?"]),
        ("__main__:Mine", ["'__main__' has no 'Mine'", "put it into a module"]),
        ("math:pi", ["'math:pi': the module 'math' has no 'pi' that is a function"]),
    ],
)
def test_find_factory_explains_bad_names(name, parts):
    with pytest.raises(ConfigError) as caught:
        find_factory("field", name, KNOWN)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("import absent_one", "ModuleNotFoundError: No module named 'absent_one'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def broken(:", "SyntaxError"),
    ],
)
def test_failing_module_is_not_reported_as_missing(source, part, tmp_path, monkeypatch):
    (tmp_path / "failing_module.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "failing_module", raising=False)
    with pytest.raises(ConfigError, match=f"^place: importing the module .*{part}"):
        load_factory("place", "failing_module:factory")


def test_misspelt_scheme_gets_a_suggestion():
    with pytest.raises(ConfigError) as caught:
        load_factory("place", "bsuit:catch/0", ["bsuite", "gym"])
    assert "'bsuit' is neither a scheme (bsuite, gym) nor a mod" in str(caught.value)
    assert "Did you mean 'bsuite'?" in str(caught.value)
    # The package exists, so its module was misspelt.
    with pytest.raises(ConfigError, match="there is no module 'distrl.nothing'"):
        load_factory("place", "distrl.nothing:f", ["bsuite", "gym"])


def make(spec, hidden_sizes, kernel=3):
    return spec, hidden_sizes, kernel


def make_any(spec, **kwargs):
    return spec, kwargs


def test_check_keywords_accepts_valid_arguments():
    check_keywords("args", make, {"hidden_sizes": []})
    check_keywords("args", make, {"hidden_sizes": [], "kernel": 0})
    check_keywords("args", make_any, {"anything": 1})


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        ({"hiden_sizes": []}, ["'hiden_sizes'. Did you mean 'hidden_sizes'"]),
        ({"hidden_sizes": [], "spec": 1}, ["'spec'", "It takes: hidden_sizes, kernel"]),
        ({"kernel": 1}, ["missing a required argument: 'hidden_sizes'"]),
    ],
)
def test_check_keywords_explains_bad_arguments(args, parts):
    with pytest.raises(ConfigError, match="^args: make") as caught:
        check_keywords("args", make, args)
    for part in parts:
        assert part in str(caught.value)

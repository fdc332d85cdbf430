import sys

import pytest

from distrl.errors import ConfigError, suggest
from distrl.factories import Named, check_keywords, find_factory, load_factory

KNOWN = {"sqrt": Named("The root.", "math:sqrt"), "log": Named("", "math:log")}


def test_suggest_names_the_nearest_spelling_or_nothing():
    assert suggest("hiden", ["hidden", "kernel"]) == " Did you mean 'hidden'?"
    assert suggest("zzz", ["hidden", "kernel"]) == ""


def test_find_factory_by_name_and_by_address():
    assert find_factory("field", "sqrt", KNOWN)(9.0) == 3.0
    assert find_factory("field", "math:hypot", KNOWN)(3.0, 4.0) == 5.0


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("sqtr", ["field", "'sqtr'", "Did you mean 'sqrt'?", "log, sqrt"]),
        (":sqrt", ["field", "':sqrt' is no address", "package.module:factory"]),
        ("math:", ["'math:' is no address"]),
        ("math:a:b", ["'math:a:b' is no address"]),
        ("mth.x:sqrt", ["there is no module 'mth'", "PYTHONPATH"]),
        ("os.nothing:sqrt", ["there is no module 'os.nothing'"]),
        ("math:sqtr", ["math has no 'sqtr'", "Did you mean 'sqrt'?"]),
        ("math:pi", ["'math:pi' is of type float"]),
    ],
)
def test_find_factory_says_what_is_wrong(name, parts):
    with pytest.raises(ConfigError) as caught:
        find_factory("field", name, KNOWN)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("import absent_dependency", "imports 'absent_dependency', which is not inst"),
        ("1 / 0", "fails when imported: ZeroDivisionError: division by zero"),
        ("def broken(:", "fails when imported: SyntaxError"),
    ],
)
def test_load_factory_tells_failing_modules_from_missing_ones(
    source, part, tmp_path, monkeypatch
):
    (tmp_path / "failing_module.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "failing_module", raising=False)
    with pytest.raises(ConfigError, match="failing_module") as caught:
        load_factory("field", "failing_module:factory")
    assert part in str(caught.value)


def make(spec, hidden_sizes, kernel=3):
    return spec, hidden_sizes, kernel


def make_any(spec, **kwargs):
    return spec, kwargs


def test_check_keywords_accepts_what_python_accepts():
    check_keywords("args", make, {"hidden_sizes": []})
    check_keywords("args", make, {"hidden_sizes": [], "kernel": 0})
    check_keywords("args", make_any, {"anything": 1})


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (
            {"hiden_sizes": []},
            ["takes no 'hiden_sizes'", "Did you mean 'hidden_sizes'"],
        ),
        ({"hidden_sizes": [], "spec": 1}, ["takes no 'spec'", "hidden_sizes, kernel"]),
        ({"kernel": 1}, ["missing a required argument: 'hidden_sizes'"]),
    ],
)
def test_check_keywords_says_what_is_wrong(args, parts):
    with pytest.raises(ConfigError, match="^args: make") as caught:
        check_keywords("args", make, args)
    for part in parts:
        assert part in str(caught.value)

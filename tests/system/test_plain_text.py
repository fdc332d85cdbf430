"""What a terminal obeys is shown as text."""

import pytest

from distrl.system.plain_text import make_plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc é 漢 🙂", "a\tb\nc é 漢 🙂"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("10%\r20%", "10%\\r20%"),
        ("abc\u202egnp.exe", "abc\\u202egnp.exe"),
        ("no\udcff", "no\\udcff"),
    ],
)
def test_controls_become_visible(text, shown):
    assert make_plain(text) == shown

import base64
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

from reports.handmade_results import write_sweep

from distrl.reports.page import make_page
from distrl.reports.scores import PUBLISHED, score_sweep


class Reader(HTMLParser):
    """A parser that checks the nesting of tags and keeps words and sources."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.sources = [], [], []

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def test_page_is_self_contained(sweep):
    page = make_page([sweep], "distrl report 'a <sweep>'")
    reader = read(page)
    text = " ".join(" ".join(reader.text).split())
    for words in (
        "a <sweep>",
        "distrl sweep configs/bsuite.yaml",
        "distrl report 'a <sweep>'",
        "bsuite 0.3.6",
        "dqn, epsilon 0.05",
        "mnist/0: <no network>",
        "partial, 3 of 20 ids",
        *PUBLISHED,
    ):
        assert words in text
    assert re.search(r"catch basic \(0\.\d\d\) 0\.91 0\.00", text)
    assert len(reader.sources) == 2
    for source in reader.sources:
        kind, _, data = source.partition(";base64,")
        assert kind == "data:image/svg+xml"
        ElementTree.fromstring(base64.b64decode(data))
    assert "http" not in re.sub('src="[^"]*"', "", page)


def test_page_without_results_says_so(tmp_path):
    write_sweep(tmp_path / "empty", {})
    page = read(make_page([score_sweep(str(tmp_path / "empty"))], "distrl report"))
    text = " ".join(page.text)
    assert "No id is finished yet" in text
    assert "tags have no means" in text

import base64
import html
import re
import xml.etree.ElementTree as ElementTree

from reports.handmade_results import write_sweep

from distrl.reports.page import make_page
from distrl.reports.scores import PUBLISHED, score_sweep


def read_text(page):
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", page)).split())


def test_page_is_self_contained(sweep):
    page = make_page([sweep], "distrl report 'a <sweep>'")
    text = read_text(page)
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
    sources = re.findall('(?:src|href)="([^"]*)"', page)
    assert len(sources) == 2
    for source in sources:
        kind, _, data = source.partition(";base64,")
        assert kind == "data:image/svg+xml"
        ElementTree.fromstring(base64.b64decode(data))
    assert "http" not in re.sub('src="[^"]*"', "", page)


def test_page_without_results_says_so(tmp_path):
    write_sweep(tmp_path / "empty", {})
    text = read_text(make_page([score_sweep(str(tmp_path / "empty"))], "distrl report"))
    assert "No id is finished yet" in text
    assert "tags have no means" in text

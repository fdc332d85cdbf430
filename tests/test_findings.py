from distrl.findings import Finding, format_finding, name_failed

OK = Finding("cores", "ok", "2")
WARNING = Finding("isolation", "warning", "not possible", "see the manual")
FAILED = Finding("open files", "failed", "256, needed 1024", "raise it")


def test_finding_and_advice_are_separate_lines():
    assert format_finding(OK).split() == ["ok", "cores", "2"]
    line, advice = format_finding(FAILED).splitlines()
    assert line.startswith("FAILED   open files  ")
    assert line.endswith(" 256, needed 1024")
    assert advice.split() == ["->", "raise", "it"]


def test_only_failed_findings_are_named():
    assert name_failed([OK, WARNING]) == "nothing failed"
    found = [FAILED, OK, Finding("memory", "failed", "none")]
    assert name_failed(found) == "2 failed: open files, memory"

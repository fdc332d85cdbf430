from distrl.findings import Finding, format_finding, name_failed

OK = Finding("cores", "ok", "2")
WARNING = Finding("isolation", "warning", "not possible", "see the manual")
FAILED = Finding("open files", "failed", "256, needed 1024", "raise it")


def test_a_finding_is_a_line_and_its_advice_another():
    assert format_finding(OK).split() == ["ok", "cores", "2"]
    line, advice = format_finding(FAILED).splitlines()
    assert line.startswith("FAILED   open files  ")
    assert line.endswith(" 256, needed 1024")
    assert advice.split() == ["->", "raise", "it"]


def test_what_failed_is_named_and_warnings_are_not():
    assert name_failed([OK, WARNING]) == "nothing failed"
    found = [FAILED, OK, Finding("memory", "failed", "none")]
    assert name_failed(found) == "2 failed: open files, memory"

from distrl.telemetry.rates import Rates


def test_rates_are_over_a_second_at_least():
    rates = Rates(10.0)
    assert rates.update(10.5, 100, 10) == (0.0, 0.0)
    # 300 and 20 in two seconds.
    assert rates.update(12.0, 300, 20) == (150.0, 10.0)
    assert rates.update(12.9, 900, 90) == (150.0, 10.0)
    # 700 and 80 since the last that counted, one second before.
    assert rates.update(13.0, 1000, 100) == (700.0, 80.0)

"""Log lines about failures that return."""

import logging

import pytest

from configsvc.client.repetition import MOST_FAILURES, Repetition


def messages_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return found


def test_a_failure_that_returns_is_logged_once_and_then_summed_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = Repetition()
    for text in (*["lost"] * 5, "other", "lost"):
        failures.log(logging.WARNING, text)
    assert messages_of(caplog) == ["lost", "other"]
    monkeypatch.setattr("configsvc.client.repetition.SUMMARY_SECONDS", 0.0)
    failures.log(logging.WARNING, "lost")
    assert messages_of(caplog) == ["5 more times in 0 s: lost"]
    monkeypatch.setattr("configsvc.client.repetition.SUMMARY_SECONDS", 300.0)
    # It has not returned since: it is new.
    failures.log(logging.WARNING, "other")
    assert messages_of(caplog) == ["other"]


def test_failures_that_always_differ_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    failures = Repetition()
    for number in range(1000):
        failures.log(logging.WARNING, f"failure {number}")
    assert len(messages_of(caplog)) == MOST_FAILURES

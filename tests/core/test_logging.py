"""The package's logger: quiet by default, shown per call and per thread, visible to pytest's caplog."""

import contextvars
import logging
import threading

from yisheng.core.findings import Finding
from yisheng.core.logging import hide_messages, log_findings, logger, progress_stream, show_on_stderr


def test_messages_are_hidden_by_default(capsys):
    logger.warning("a finding")
    assert progress_stream() is None
    assert capsys.readouterr() == ("", "")


def test_messages_are_plain_text_on_stderr_during_the_block(capsys):
    with show_on_stderr():
        logger.info("100% of the rows")
        assert progress_stream() is not None
    logger.info("after the block")
    assert capsys.readouterr() == ("", "100% of the rows\n")


def test_a_quiet_call_inside_a_loud_one_shows_nothing(capsys):
    with show_on_stderr():
        with show_on_stderr(quiet=True):
            logger.warning("hidden")
            assert progress_stream() is None
        logger.info("shown")
    assert capsys.readouterr().err == "shown\n"


def test_hide_messages_keeps_the_progress_of_the_caller():
    with hide_messages():
        assert progress_stream() is None  # the caller shows none
    with show_on_stderr(), hide_messages():
        assert progress_stream() is not None
    with show_on_stderr(), hide_messages(progress=False):
        assert progress_stream() is None


def test_quietness_belongs_to_one_thread(capsys):
    def log(text):
        with show_on_stderr(quiet=text == "quiet"):
            barrier.wait()
            logger.info(text)
            barrier.wait()

    barrier = threading.Barrier(2)
    threads = [threading.Thread(target=log, args=(text,)) for text in ("quiet", "loud")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert capsys.readouterr().err == "loud\n"


def test_a_thread_can_inherit_the_choice_of_its_call(capsys):
    with show_on_stderr():
        for run in (lambda function: function(), contextvars.copy_context().run):
            thread = threading.Thread(target=run, args=(lambda: logger.info("from a thread"),))
            thread.start()
            thread.join()
    assert capsys.readouterr().err == "from a thread\n"


def test_caplog_sees_the_messages_and_their_levels(caplog):
    findings = [Finding("check", severity, {}, "cause", "remedy") for severity in ("note", "warning", "error")]
    log_findings(findings)
    assert [record.levelno for record in caplog.records] == [logging.INFO, logging.WARNING, logging.WARNING]
    assert caplog.messages[0] == "note: cause; remedy"


def test_the_root_logger_stays_as_it_is():
    assert logging.getLogger().level == logging.WARNING
    assert logger.propagate

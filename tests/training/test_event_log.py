"""The log of events, and the callback that writes it."""

import json
import math

import pytest

from tests.training.small_training import epoch_end, step_end
from yisheng.core.errors import StorageError
from yisheng.training.event_log import EventLog, log_events


def test_log_has_every_nth_step_and_drops_lines_after_the_checkpoint(tmp_path):
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    events = [step_end(n, float(n)) for n in range(1, 6)] + [epoch_end(1, math.nan)]
    assert list(log_events(iter(events), log, interval=2, clock=lambda: 1.0)) == events
    length = log.flush()
    log.add({"event": "step"})
    log.close()
    assert path.stat().st_size > length
    log = EventLog(path, length)
    log.add({"event": "more"})
    log.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line.get("step") for line in lines] == [2, 4, 10, None]
    assert lines[0] == {"event": "step", "step": 2, "epoch": 0, "lr": 0.1, "seconds": 1.0, "loss": 2.0}
    assert lines[2]["scores"] == {"accuracy": "nan"}


def test_full_disk_is_an_error(tmp_path):
    (tmp_path / "events.jsonl").symlink_to("/dev/full")
    log = EventLog(tmp_path / "events.jsonl")
    log.add({"event": "x"})
    with pytest.raises(StorageError, match="no space left"):
        log.flush()
    log.close()

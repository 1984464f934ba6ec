"""Run the round trips and print a summary; see the package."""

from __future__ import annotations

import contextlib
import json
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.round_trips.columns import TrueColumn, draw_columns
from benchmarks.round_trips.comparison import compare_reading, compare_training
from benchmarks.round_trips.dialects import Dialect, draw_dialect
from benchmarks.round_trips.ways import OTHER_PROGRAM, read_in_every_way, train
from benchmarks.round_trips.writers import write_table

from yisheng.core.errors import YishengError
from yisheng.serving.errors import ApiError

COMPLETE_EVERY = 500
"""Of so many cases one is trained by `yisheng.train`; the others are random linear models."""
ALWAYS, FURTHER_FRACTION = ("file", "bulk", "http csv", "json", "frame", "lists"), 0.35
"""Ways that every case takes, and the fraction of the cases that take each of the others."""
HALVES = (16, 30, 60)
OUTCOMES = ("silent", "crash", "warned", "refused", "equal")
"""Of a case, the worst first."""


def run_case(seed: int, folder: Path, *, complete: bool = False) -> tuple[Dialect, list[dict[str, Any]]]:
    """Return the dialect of a case, and what happened: an event for each difference, refusal and crash.

    Args:
        seed: of the case.
        folder: for its files.
        complete: see `benchmarks.round_trips.ways.train`.
    """
    draw = random.Random(seed)
    dialect = draw_dialect(draw)
    half = draw.choice(HALVES)
    columns = draw_columns(dialect, 2 * half, draw)
    other = draw_dialect(draw, ("csv", "pandas", "excel"), dialect.script)
    return dialect, list(_run(dialect, other, columns, half, folder, complete=complete, seed=seed))


def _run(
    dialect: Dialect,
    other: Dialect,
    columns: list[TrueColumn],
    half: int,
    folder: Path,
    *,
    complete: bool,
    seed: int,
) -> Iterator[dict[str, Any]]:
    first, second = range(half), range(half, 2 * half)
    if dialect.suffix == ".xlsx":
        second = _trim_blank_rows(columns[:-1], second)
    path = folder / f"first{dialect.suffix}"
    path.write_bytes(write_table(columns, first, dialect))
    try:
        dataset, predictor = train(path, folder, complete=complete, seed=seed)
    except YishengError as error:
        yield {"outcome": "refused", "way": "training", "problem": str(error)}
        return
    except Exception as error:
        yield {"outcome": "crash", "way": "training", "problem": repr(error)}
        return
    wrong = set()
    for difference in compare_training(columns, first, dataset):
        wrong.add(difference.column)
        yield {"outcome": "warned" if difference.is_warned else "silent", "way": "training", **asdict(difference)}
    if "" in wrong:
        return
    draw = random.Random(seed)
    for way, read in read_in_every_way(columns[:-1], second, dialect, other, predictor, folder):
        if way not in ALWAYS and draw.random() > FURTHER_FRACTION:
            continue
        try:
            for difference in compare_reading(columns[:-1], read(), predictor.spec, wrong):
                yield {"outcome": "warned" if difference.is_warned else "silent", "way": way, **asdict(difference)}
        except (YishengError, ApiError) as error:
            problem = error.detail if isinstance(error, ApiError) else str(error)
            yield {"outcome": "refused", "way": way, "problem": problem}
        except Exception as error:
            yield {"outcome": "crash", "way": way, "problem": repr(error)}


def _trim_blank_rows(columns: list[TrueColumn], rows: range) -> range:
    """Return the rows up to the last with a value: a workbook keeps no trace of blank rows at its end."""
    return range(rows.start, max(n for n in rows if any(column.values[n] is not None for column in columns)) + 1)


def rate(event: dict[str, Any]) -> int:
    """Return the position of an event among `OUTCOMES`; a refusal of another program's form is right."""
    if event["outcome"] == "refused" and event["way"] == OTHER_PROGRAM:
        return len(OUTCOMES) - 1
    return OUTCOMES.index(event["outcome"])


def _run_in_folder(seed: int, *, complete: bool) -> tuple[Dialect, list[dict[str, Any]]]:
    shared_memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="round-trip-", dir=shared_memory if shared_memory.is_dir() else None))
    try:
        return run_case(seed, folder, complete=complete)
    finally:
        shutil.rmtree(folder)


def main(arguments: list[str]) -> None:
    """Run cases and print how they ended."""
    options = {"cases": "5000", "seed": "0", "log": "", **dict(text.split("=", 1) for text in arguments)}
    counts: Counter[str] = Counter()
    by_kind: dict[str, Counter[str]] = {outcome: Counter() for outcome in OUTCOMES}
    log = Path(options["log"]) if options["log"] else None
    start = time.perf_counter()
    case_count = 0
    with contextlib.suppress(KeyboardInterrupt):  # an interrupted run prints what it did
        for number in range(int(options["cases"])):
            seed = int(options["seed"]) * 1_000_000 + number
            is_complete = number % COMPLETE_EVERY == COMPLETE_EVERY - 1
            dialect, events = _run_in_folder(seed, complete=is_complete)
            worst = min(map(rate, events), default=len(OUTCOMES) - 1)
            counts[OUTCOMES[worst]] += 1
            case_count += 1
            for event in events:
                kind = event.get("flavor") or re.sub(r"\d", "0", event["problem"].rpartition("' ")[2])[:60]
                by_kind[event["outcome"]][f"{event['way']} | {kind}"] += 1
            if log:
                lines = [json.dumps({"seed": seed, **event, **asdict(dialect)}, ensure_ascii=False) for event in events]
                with log.open("a", encoding="utf-8") as file:
                    file.write("".join(f"{line}\n" for line in lines))
    seconds = time.perf_counter() - start
    print(f"{case_count} cases in {seconds:.0f} s: " + ", ".join(f"{counts[o]} {o}" for o in OUTCOMES))
    for outcome, kinds in by_kind.items():
        for kind, count in kinds.most_common(25 if outcome in ("silent", "crash") else 8):
            print(f"  {outcome:8} {count:6} {kind}")
    sys.exit(bool(counts["silent"] or counts["crash"]))


if __name__ == "__main__":
    main(sys.argv[1:])

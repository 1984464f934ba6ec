"""Tables in a foreign form: trained on, and read later in every way that a model takes rows."""

import contextlib
import csv
import io
import json
import math

import numpy as np
import pandas as pd

from yisheng.core.errors import YishengError
from yisheng.data import tables
from yisheng.data.tables.reading_options import ReadingOptions
from yisheng.inference.bulk import rows as bulk_rows
from yisheng.inference.bulk.chunk import Tally
from yisheng.inference.inputs.read_inputs import read_inputs
from yisheng.inference.rows import read_rows
from yisheng.serving.errors import ApiError
from yisheng.serving.inputs import parse_inputs
from yisheng.serving.limits import Limits

REFUSED = "refused"
MISSING = math.nan


def write_rows(path, rows, *, separator=";", encoding="utf-8", line_end="\n"):
    """Write rows of texts as a file of text."""
    file = io.StringIO()
    csv.writer(file, delimiter=separator, lineterminator=line_end).writerows(rows)
    path.write_bytes(file.getvalue().encode(encoding))
    return path


def learn(folder, columns, *, separator=";", encoding="utf-8", y=None, **options):
    """Return the data set of columns of texts, which are repeated to 60 rows; the target y is a number by default."""
    count = max(60, *map(len, columns.values()))
    texts = {name: [values[n % len(values)] for n in range(count)] for name, values in columns.items()}
    texts["y"] = [str(n * 7 % 59) for n in range(count)] if y is None else [y[n % len(y)] for n in range(count)]
    rows = [list(texts), *zip(*texts.values(), strict=True)]
    path = write_rows(folder / "train.csv", rows, separator=separator, encoding=encoding)
    if y is None:
        options.setdefault("task", "regression")
    return tables.from_file(path, target="y", **options)


def values_of(data, column):
    """Return the values of a column as its first feature holds them, in the words of its categories."""
    for position, feature in enumerate(data.spec.columns):
        if feature.source == column:
            return [_to_word(feature, value) for value in data.x[:, position]]
    raise AssertionError(f"{column} was left out")


def kind_of(data, column):
    """Return the kind of a column, left out or not."""
    (facts,) = [finding.evidence["columns"] for finding in data.findings if finding.check == "columns"]
    return next(item["kind"] for item in facts if item["column"] == column)


def warnings_of(data):
    """Return the checks of the findings that are warnings."""
    return {finding.check for finding in data.findings if finding.severity != "note"}


def _to_word(feature, value):
    if feature.kind == "number" or math.isnan(value):
        return float(value)
    return feature.categories[int(value)] if value >= 0 else None


def read_later(folder, data, column, text, *, separator=";", encoding="utf-8", ways=(), **options):
    """Return the value of a column in a row to predict, the same in every way that takes texts, or `REFUSED`.

    The other columns are empty. ``None`` is a category that training has not seen.
    """
    sources = list(dict.fromkeys(feature.source for feature in data.spec.columns))
    row = {name: text if name == column else "" for name in sources}
    path = write_rows(folder / "later.csv", [list(row), list(row.values())], separator=separator, encoding=encoding)
    reading = ReadingOptions.parse(options)

    def read_bulk():
        return next(bulk_rows.open_table(path, data.spec, "", reading).chunks(Tally())).x

    read = {"file": lambda: read_rows(path, data.spec, "", reading).x, "bulk": read_bulk}
    if not options:
        body = json.dumps({"rows": [row]}).encode()
        read |= {
            "http csv": lambda: parse_inputs(path.read_bytes(), "text/csv", data.spec, Limits()).x,
            "json": lambda: parse_inputs(body, "application/json", data.spec, Limits()).x,
            "frame": lambda: read_inputs(pd.DataFrame([row]), data.spec, None).x,
            "dict": lambda: read_inputs(row, data.spec, None).x,
        }
    position = next(n for n, feature in enumerate(data.spec.columns) if feature.source == column)
    results = {}
    for way, function in read.items():
        results[way] = REFUSED
        with contextlib.suppress(YishengError, ApiError):
            results[way] = _to_word(data.spec.columns[position], function()[0, position])
    first = next(iter(results.values()))
    assert all(_equal(first, value) for value in results.values()), results
    return first


def _equal(first, second):
    if isinstance(first, float) and isinstance(second, float):
        return bool(np.isclose(first, second, rtol=1e-6, equal_nan=True))
    return first == second


def assert_value(value, expected):
    """Assert that a value is the expected one: a number, a word, `REFUSED`, or `MISSING`."""
    assert _equal(float(expected) if isinstance(expected, int) else expected, value), (value, expected)

"""Draw tables as programs write them, train on the first half, and predict the second half in every way.

    python -m benchmarks.round_trips cases=5000 seed=0

- ``words``: words of many scripts, and the encodings that can write them.
- ``columns``: columns with known values, and their texts in the form of a dialect.
- ``dialects``: how a program writes a table: encoding, separator, numbers, dates, quotes, missing values.
- ``writers``: the bytes of a table, written by pandas, polars, openpyxl, or as Excel and other programs write CSV.
- ``ways``: a model of the first half, and every way to give it the second half.
- ``comparison``: what was read against the known values.
"""

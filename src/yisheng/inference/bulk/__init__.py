"""Inputs as streams: read some at a time, answered and written before the next are read.

- ``chunk``: some inputs, and what is counted on the way.
- ``rows``: the rows of a table's file; ``plain``: of one that holds nothing but numbers.
- ``images``: files and folders, decoded by two workers while the network runs.
- ``partial``: the unfinished file beside the one that is wanted, and how far it is.
- ``parquet``: from the written table to Parquet.
"""

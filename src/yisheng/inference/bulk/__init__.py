"""Predict many inputs as a stream: each chunk is read, predicted and written before the next is read.

- ``chunk``: a chunk of inputs, and the counts of a stream.
- ``rows``: the rows of a table file.
- ``images``: files and folders, decoded by two workers while the network runs.
- ``partial_output``: the unfinished file, and the state from which it continues.
- ``parquet``: converts the written table to Parquet.
"""

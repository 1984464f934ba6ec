"""Self-contained HTML reports of runs, comparisons and searches, made from the files of a run folder only."""

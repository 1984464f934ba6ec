"""The report: one self-contained page about a run, made from nothing but the files of its folder."""

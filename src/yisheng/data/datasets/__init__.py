"""Data sets by name: each file here is one, a registered function ``f(**options) -> Dataset``.

Options of generated sets include their own ``seed``, so that the data stays the same when the run's seed
changes. The functions neither split nor scale: `yisheng.data.split` draws the parts, and training fits the scaling.

Facts for `register`: ``opens`` (a predicate for the paths that the function reads), ``mirror=True`` (a mirrored image
means the same, as in photographs and unlike letters).
"""

"""From a file or an address to a data set, its parts and its batches.

- ``sets/``: one file per data set; a registered function gives a `yisheng.core.types.Dataset`.
- ``hub``: files of known sets by name, checked (see there for what stands behind it).
- ``idx``: the reader of MNIST's file format.
- ``split``: hold-out parts and k folds.
- ``batches``: index gathers, scaled on the training device.
- ``show``: what is in a data set: facts, and a picture.
- ``fingerprint``: whether data is what it was.
"""

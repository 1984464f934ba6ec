"""From image files to one block of pixels.

- ``decode``: the bytes of any image file to pixels; training and prediction both read through it.
- ``folders``, ``zips``: which image files lie in a folder or a zip, and their bytes.
- ``discover``: parts and classes from the names of their folders.
- ``lists``: a CSV that lists image files and their labels.
- ``block``: all images decoded by all cores into one file.
- ``cache``: where that file lies, and when it may be used again.
- ``twins``: images that are there twice.
- ``gather``: all of it together, as a data set.
"""

"""From image files to one block of pixels.

- ``decode``, ``resize``: from the bytes of an image file to pixels, in training and in prediction.
- ``folder_files``, ``zip_files``: the image files of a folder or a zip, as a ``file_listing``.
- ``folder_labels``: parts and classes, from the names of folders.
- ``label_files``: files and labels, from a CSV.
- ``bulk_decode``: all images decoded into one file, by all cores.
- ``cache``: that file, kept for the next run.
- ``duplicates``: images that occur twice.
- ``image_dataset``: all of it together, as a data set.
"""

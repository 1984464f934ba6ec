"""Files of arrays: NumPy's .npz and .npy, and HDF5.

- ``stored_array``: an array before it is read; ``array_file``: those of a file, bounded and without pickle; ``hdf5``:
  those of an HDF5 file.
- ``roles``: which array holds the inputs, targets and class names of which part.
- ``image_arrays``: images as one block ``(N, C, H, W)``.
- ``dataset``: all of it together, as a data set of images or of rows.
"""

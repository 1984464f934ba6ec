"""Whatever a user gives to ``predict``, as one block of a network's inputs: files, images, arrays, tables, rows."""

"""The runs of a folder as things: list, filter, sort, rename, delete and export them."""

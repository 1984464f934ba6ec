"""Files at addresses (``s3://bucket/folder``): what is read is fetched into the cache, what is written is copied there.

Training needs locks, memory maps and logs, which object stores do not have. So a run is always written in a local
folder, its working copy, and published from there.

    addresses   the form of an address
    connections the file system of an address, by fsspec
    store       the operations of a store that are needed
    store_errors its errors in two lines
    manifests   the marker of a complete copy: written last, with the size and the SHA-256 of each file
    writers     at most one process writes to an address
    working_copies the folder of a run at an address on this machine
    mirrors     such a folder, fetched from its address
    publishing  such a folder, copied to its address
    uploads     the copies that a thread makes while a training goes on
    sessions    what a command or call has opened for writing, published when it ends
    inputs      data files and folders in the cache
    streams     folders of data that are read file by file, without a copy of them
"""

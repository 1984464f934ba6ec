"""Download known data sets by name: catalog, cache, resumable downloads, checksums and offline bundles."""

"""Sections of the report of a run, one file each, in the order of `yisheng.reporting.run_page.SECTIONS`."""

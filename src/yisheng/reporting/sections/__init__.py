"""The sections of the report, one file each; `yisheng.reporting.run_page.SECTIONS` is their order."""

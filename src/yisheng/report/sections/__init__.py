"""The sections of the report, one file each; `yisheng.report.html.SECTIONS` is their order."""

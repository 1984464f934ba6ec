"""The commands as Python functions, with the same keys and values as on the command line.

- ``preparation``: config, lr_find, explain, env.
- ``training``: train, fit, tune.
- ``evaluation``: evaluate, compare, report, diagnose.
- ``runs``: runs, load, resume, reproduce.
- ``inference``: predict, export, push.

Messages and progress go to standard error, as plain text; ``quiet=True`` hides them (see `yisheng.core.logging`).
"""

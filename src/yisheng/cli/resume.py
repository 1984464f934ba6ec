"""Continue a run that was stopped or killed, exactly from its last checkpoint.

usage: yisheng resume RUN [epochs=N] [force=true] [processes=N|auto] [cluster=local:4|auto|HOST:PORT]
                      [model=FILE.py:CLASS ...] [--json] [--quiet]

epochs= may make the run longer. force=true continues although the data or the versions changed. processes= may
differ from that of the beginning. cluster= is for a search, folds or an ensemble, as in `yisheng tune`. Components of
your own are named again (model=net.py:Net, also loss, optimizer, schedule, metrics, augment, init): code is imported
only when you name it.
"""

from __future__ import annotations

from yisheng.cli._arguments import Arguments

KEYS = ("model", "init", "loss", "optimizer", "schedule", "augment", "metrics")
"""Keys that name components of the user's own."""


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    force = arguments.flag("force")
    epochs = arguments.number("epochs", 1) if "epochs" in arguments.settings else None
    processes = arguments.process_count()
    cluster = arguments.take("cluster")
    components = {key: arguments.take(key) for key in KEYS}
    folder = arguments.run_folder(("force", "epochs", "processes", "cluster", *KEYS), writes=True)

    from yisheng.cli._summary import print_summary
    from yisheng.core.supplied_components import supply_components
    from yisheng.experiments import dispatch, watch
    from yisheng.experiments.processes import is_first_process

    with supply_components(**components), watch.watch_resumed(folder):
        folder = dispatch.resume(folder, epochs=epochs, force=force, processes=processes, cluster=cluster)
    if is_first_process():
        print_summary(folder, arguments)
    return 0

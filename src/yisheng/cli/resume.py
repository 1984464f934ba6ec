"""Continue a run that was stopped or killed, exactly from its last checkpoint.

usage: yisheng resume RUN [epochs=N] [force=true] [--json] [--quiet]

epochs= may make the run longer. force=true continues although the data or the versions changed.
"""

from __future__ import annotations

from yisheng.cli._arguments import Arguments


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    force = arguments.flag("force")
    epochs = arguments.number("epochs", 1) if "epochs" in arguments.settings else None
    folder = arguments.run_folder(("force", "epochs"))

    from yisheng.cli._summary import print_summary
    from yisheng.experiments import dispatch, watch

    with watch.watch_resumed(folder):
        folder = dispatch.resume(folder, epochs=epochs, force=force)
    print_summary(folder, arguments)
    return 0

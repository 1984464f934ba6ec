"""Continue a run that was stopped or killed, exactly from where its last checkpoint is.

usage: yisheng resume RUN [epochs=N] [force=true] [--json] [--quiet]

epochs= may make the run longer. force=true continues although the data or the versions changed.
"""

from __future__ import annotations

from pathlib import Path

from yisheng.cli._arguments import Arguments, streams


def run(arguments: Arguments) -> int:
    """Do it."""
    arguments.inputs_only(1, 1, "one run folder")
    as_json, quiet, force = arguments.flag("json"), arguments.flag("quiet"), arguments.flag("force")
    epochs = arguments.number("epochs", 1) if "epochs" in arguments.settings else None
    arguments.end({"json", "quiet", "force", "epochs"})
    for_people, remarks = streams(as_json, quiet)

    from yisheng.cli._summary import show
    from yisheng.experiments import watch
    from yisheng.experiments.run import resume

    with watch.resumed(Path(arguments.inputs[0]), remarks):
        folder = resume(Path(arguments.inputs[0]), epochs=epochs, force=force, stream=remarks)
    show(folder, as_json=as_json, stream=for_people, quiet=quiet)
    return 0

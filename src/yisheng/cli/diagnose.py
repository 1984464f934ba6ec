"""What is wrong with a run: the doctor's findings, what they explain, and what was not checked.

usage: yisheng diagnose RUN [data=true] [fail_on=error|warning] [--json]

RUN is a run folder, finished or broken off, or a study of k folds. data=true looks at the data anew with all checks,
those that train small models among them (seconds to a minute): wrong labels, labels that the inputs do not tell, what
more rows would bring, test rows unlike the training rows. With fail_on= findings of that severity or worse
end in exit code 6. The same page is the first section of RUN/report.html, and RUN/findings.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from yisheng.cli._arguments import Arguments


def run(arguments: Arguments) -> int:
    """Do it."""
    arguments.inputs_only(1, 1, "one run folder")
    as_json, data, fail_on = arguments.flag("json"), arguments.flag("data"), arguments.take("fail_on")
    arguments.end({"json", "data", "fail_on"})

    from yisheng.experiments import diagnose

    if fail_on is not None:
        diagnose.severity_of(fail_on)
    folder = Path(arguments.inputs[0])
    pages = {
        name: diagnose.diagnose(path, data=data, stream=sys.stderr) for name, path in diagnose.members(folder).items()
    }
    if as_json:
        plain = {name: found.plain() for name, found in pages.items()}
        print(json.dumps({"run": str(folder), **plain.get("", {"members": plain})}, ensure_ascii=False))
    else:
        print("\n\n".join(f"{name}\n\n{diagnose.text(page)}".lstrip() for name, page in pages.items()))
    if fail_on is not None:
        diagnose.require_none(pages, fail_on)
    return 0

"""Report what is wrong with a run: the doctor's findings, what they explain, and what was not checked.

usage: yisheng diagnose RUN [data=true] [fail_on=error|warning] [--json]

RUN is a run folder, finished or not, or a cross-validation. data=true checks the data again with all checks, also those
that train small models (seconds to a minute): wrong labels, labels that do not depend on the inputs, what more rows
would bring, test rows that differ from the training rows. With fail_on= findings of that severity or worse end in exit
code 6. The same findings are the first section of RUN/report.html, and in RUN/findings.json.
"""

from __future__ import annotations

import json

from yisheng.cli._arguments import Arguments


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    data, fail_on = arguments.flag("data"), arguments.take("fail_on")
    folder = arguments.run_folder(("data", "fail_on"))

    from yisheng.experiments import diagnose

    if fail_on is not None:
        diagnose.require_fail_on(fail_on)
    findings = {name: diagnose.diagnose(path, data=data) for name, path in diagnose.list_runs(folder).items()}
    if arguments.json:
        plain = {name: page.to_json() for name, page in findings.items()}
        print(json.dumps({"run": str(folder), **plain.get("", {"members": plain})}, ensure_ascii=False))
    else:
        print("\n\n".join(f"{name}\n\n{page}".lstrip() for name, page in findings.items()))
    if fail_on is not None:
        diagnose.require_no_findings(findings, fail_on)
    return 0

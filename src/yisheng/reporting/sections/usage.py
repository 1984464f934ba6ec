"""Commands to use the run, ready to copy."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.reporting.evaluation_schema import ORIGINS
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, render

TEMPLATE = """
<p>{{ message("Run these commands in the folder that contains {folder}.", folder=code(parent ~ "/")) }}</p>
<dl class="commands">
{% for purpose, command in commands %}
<dt>{{ purpose }}</dt><dd><pre tabindex="0"><code>{{ command }}</code></pre></dd>
{% endfor %}
</dl>
{% if not trained %}
<p class="missing">{{ message("The run is not finished, so it has not written its model yet.") }}</p>
{% endif %}
"""


def usage(facts: RunFacts) -> Section:
    """Return the commands that apply to this run."""
    html = render(
        TEMPLATE,
        commands=list(_commands(facts)),
        trained=facts.is_finished,
        parent=facts.run.rpartition("/")[0] or "/",
    )
    return Section("use", Message("Use this run"), html)


def _commands(facts: RunFacts) -> Iterator[tuple[str, str]]:
    if facts.is_finished:
        if facts.spec is None or facts.spec.is_image:
            yield Message("Predict an image"), f"yisheng predict {facts.shell_path} photo.png"
        elif facts.spec.is_row:
            yield Message("Predict the rows of a table"), f"yisheng predict {facts.shell_path} rows.csv"
        part = ORIGINS.get(facts.part, facts.part)
        yield Message("Evaluate it again on {part}", part=part), f"yisheng evaluate {facts.shell_path}"
    if facts.config and facts.choice_name("data") != "in-memory":
        config = shlex.quote(f"config={facts.run}/{RunFolder.CONFIG}")
        seed = facts.config.get("seed", 0)
        if not facts.is_finished:
            yield Message("Train again with the same config"), f"yisheng train {config}"
        elif isinstance(seed, int) and 0 <= seed < 1 << 62:
            yield Message("Train with the same config and another seed"), f"yisheng train {config} seed={seed + 1}"

"""The resolved config of the run, from which the run can be repeated."""

from __future__ import annotations

from yisheng.core.messages import Message
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, render

TEMPLATE = """
{% if text %}
<details class="printed"><summary>{{ message("Every setting ({file})", file=code("config.toml")) }}</summary>
<pre tabindex="0"><code>{{ text }}</code></pre>
</details>
{% else %}
<p class="missing">{{ message("The run folder has no {file}.", file=code("config.toml")) }}</p>
{% endif %}
"""


def config(facts: RunFacts) -> Section:
    """Return the resolved config."""
    return Section("config", Message("Config"), render(TEMPLATE, text=facts.config_text.strip()))

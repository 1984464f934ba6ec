"""The resolved config of the run, from which the run can be repeated."""

from __future__ import annotations

from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, render

TEMPLATE = """
{% if text %}
<details class="printed"><summary>Every setting (<code>config.toml</code>)</summary>
<pre tabindex="0"><code>{{ text }}</code></pre>
</details>
{% else %}
<p class="missing">The run folder has no <code>config.toml</code>.</p>
{% endif %}
"""


def config(facts: RunFacts) -> Section:
    """Return the resolved config."""
    return Section("config", "Config", render(TEMPLATE, text=facts.config_text.strip()))

"""The config: every choice of the run, as the file that would repeat it."""

from __future__ import annotations

from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, fill

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
    return Section("config", "Config", fill(TEMPLATE, text=facts.config_text.strip()))

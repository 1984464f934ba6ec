"""The recipe: every choice of the run, as the file that would repeat it."""

from __future__ import annotations

from yisheng.reporting.run_facts import Facts
from yisheng.reporting.section import Section, fill

TEMPLATE = """
{% if text %}
<details class="printed"><summary>Every setting (<code>recipe.toml</code>)</summary>
<pre tabindex="0"><code>{{ text }}</code></pre>
</details>
{% else %}
<p class="missing">The run folder has no <code>recipe.toml</code>.</p>
{% endif %}
"""


def recipe(facts: Facts) -> Section:
    """The settled recipe."""
    return Section("recipe", "Recipe", fill(TEMPLATE, text=facts.recipe_text.strip()))

"""What README says runs as it stands, in both languages; the files it points to are there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "README.zh.md"]


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def run(words, folder):
    process = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=folder)
    assert process.returncode == 0, f"{words}\n{process.stdout}\n{process.stderr}"
    return process.stdout


@pytest.mark.slow
def test_the_commands_run(tmp_path):
    (commands,) = blocks(PAGES[0], "sh")
    paper = Image.new("L", (90, 120), 220)
    paper.paste(40, (40, 20, 50, 100))
    paper.save(tmp_path / "my-digit.png")
    for line in commands.splitlines():
        program, *words = shlex.split(line)
        assert program == "yisheng"
        run(["-m", "yisheng", *words], tmp_path)
    assert (tmp_path / "runs" / "0001-digits-lenet" / "report.html").exists()


def test_the_python_runs(tmp_path):
    code = "\n".join(blocks(PAGES[0], "python"))
    (tmp_path / "readme.py").write_text(code, encoding="utf-8")
    assert len(re.findall(r"^0\.\d+ \(0\.\d+ to ", run(["readme.py"], tmp_path), re.MULTILINE)) == 2  # two scores


def test_both_languages_say_the_same():
    english, chinese = (page.read_text(encoding="utf-8") for page in PAGES)
    assert blocks(PAGES[0], "sh") == blocks(PAGES[1], "sh")
    codes = ["\n".join(blocks(page, "python")) for page in PAGES]
    assert [re.sub(r"  # .*", "", code) for code in codes] == [re.sub(r"  # .*", "", codes[0])] * 2
    assert len(re.findall(r"^\|", english, re.MULTILINE)) == len(re.findall(r"^\|", chinese, re.MULTILINE))


@pytest.mark.parametrize(
    "page",
    [*PAGES, ROOT / "CONTRIBUTING.md", *sorted(path for path in DOCS.rglob("*.md") if "site" not in path.parts)],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), f"{page.name} points to {target}"


def test_configs_are_valid():
    from yisheng.core.settings import merge_settings, read_settings

    configs = sorted((ROOT / "configs").glob("*.toml"))
    assert len(configs) >= 8
    for path in configs:
        assert merge_settings(read_settings(path)).config.epochs != "auto"

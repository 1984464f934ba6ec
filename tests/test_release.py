"""What prepares a release: the wheel, the workflow, the container file, and the check of the tag."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"


def load_script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def workflow():
    return yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))


def list_steps(workflow):
    return [(name, step) for name, job in workflow["jobs"].items() for step in job["steps"]]


def test_only_a_published_release_starts_the_workflow(workflow):
    assert workflow[True] == {"release": {"types": ["published"]}}  # YAML 1.1 reads `on` as true


def test_each_job_has_the_rights_that_it_needs_and_no_others(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    rights = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    assert rights == {"attest": {"id-token": "write", "attestations": "write"}, "publish": {"id-token": "write"}}
    for _, step in list_steps(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"] == {"persist-credentials": False}


def test_publishing_uses_no_secret_and_comes_after_the_trials(workflow):
    assert "secrets." not in WORKFLOW.read_text(encoding="utf-8")
    jobs = workflow["jobs"]
    needs = {name: set(re.findall(r"\w+", str(job.get("needs", "")))) for name, job in jobs.items()}
    before_publishing = set()
    waiting = {"publish"}
    while waiting:
        waiting = set().union(*(needs[name] for name in waiting)) - before_publishing
        before_publishing |= waiting
    assert before_publishing == {"build", "try", "sbom", "attest"}
    assert jobs["publish"]["environment"]["name"] == "pypi"
    publishing = [step for name, step in list_steps(workflow) if "pypi-publish" in step.get("uses", "")]
    assert [step["with"] for step in publishing] == [{"attestations": True}]


def test_the_scripts_of_the_workflow_exist_and_take_its_arguments(workflow):
    commands = "\n".join(step.get("run", "") for _, step in list_steps(workflow))
    scripts = re.findall(r"python (scripts/\w+\.py)", commands)
    assert sorted(set(scripts)) == ["scripts/check_release.py", "scripts/check_wheel.py"]
    assert all((ROOT / script).is_file() for script in scripts)


def test_the_workflow_tries_the_declared_pythons(workflow):
    pythons = workflow["jobs"]["try"]["strategy"]["matrix"]["python"]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'requires-python = ">=([\d.]+)"', project)[1] == pythons[0]
    assert pythons == ["3.11", "3.12", "3.13"]


@pytest.mark.parametrize(
    ("tag", "heading", "problems"),
    [
        ("v1.2.3", "## 1.2.3 (2027-01-31)", 0),
        ("v1.2.3", "## 1.2.3 (unreleased)", 1),
        ("v1.2.3", "## 1.2.30 (2027-01-31)", 1),
        ("1.2.3", "## 1.2.3 (2027-01-31)", 1),
        ("v1.2.4", "## 1.2.4 (2027-01-31)", 2),
    ],
)
def test_a_release_needs_the_tag_of_its_version_and_a_dated_section(tag, heading, problems, tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n{heading}\n\n- x\n")
    assert len(load_script("check_release").find_problems(tag, root=tmp_path)) == problems


def test_the_container_file_copies_what_exists_and_runs_without_rights():
    lines = (ROOT / "Containerfile").read_text(encoding="utf-8").splitlines()
    sources = [
        word for line in lines if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
    ]
    assert sources
    assert all((ROOT / source).exists() for source in sources)
    included = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(sources) <= included
    users = [line for line in lines if line.startswith("USER ")]
    assert users == ["USER yisheng"]
    assert lines.index("USER yisheng") < lines.index('ENTRYPOINT ["yisheng"]')


@pytest.mark.slow
@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("build", "hatchling")), reason="needs build and hatchling"
)
def test_the_wheel_is_complete_and_works_in_a_fresh_environment(tmp_path):
    """Without a package index: what the wheel requires is taken from the present environment."""
    check = load_script("check_wheel")
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert check.check_contents(wheel) == []
    python = check.make_environment(tmp_path / "venv", sys.executable, wheel, reuse=True)
    place = tmp_path / "empty"
    place.mkdir()
    script = tmp_path / "train.py"
    script.write_text("import yisheng\n\nyisheng.train(data='digits', epochs=1, quiet=True)\n")
    check.try_wheel(python, place, script)
    assert list(place.glob("runs/*/report.html"))

"""Every public function and class, and every method of what they return, is documented by an example that runs."""

import importlib
import inspect
import re
import typing
from collections.abc import Callable, Iterator

import pytest

import yisheng

ARGUMENT = re.compile(r"^    \*{0,2}(\w+): ", re.MULTILINE)
PUBLIC = {name: getattr(yisheng, name) for name in yisheng.__all__}
RETURNED = {
    "yisheng.diagnosis.ranking": ("Diagnosis",),
    "yisheng.evaluation.conformal": ("IntervalBounds",),
    "yisheng.evaluation.importance": ("ImportanceTable",),
    "yisheng.experiments.event_loop": ("Fit",),
    "yisheng.experiments.comparison": ("Comparison",),
    "yisheng.experiments.explain": ("Explanation",),
    "yisheng.experiments.export": ("Exported",),
    "yisheng.experiments.other_data.result": ("Evaluation",),
    "yisheng.experiments.reproduce": ("Reproduction",),
    "yisheng.experiments.run_folders.table": ("RunTable",),
    "yisheng.inference.dependence": ("Dependence",),
    "yisheng.inference.prediction": ("Prediction", "PredictionList"),
    "yisheng.inference.predictor": ("Predictor",),
    "yisheng.inference.reasons": ("Reasons",),
    "yisheng.inference.residuals": ("ConformalIntervals",),
    "yisheng.reporting.lr_find_facts": ("LearningRateTest",),
    "yisheng.results.config_table": ("ConfigTable",),
    "yisheng.results.weights": ("Weights",),
    "yisheng.core.score_table": ("ScoreTable",),
}
"""Classes of what public functions and methods return, by module."""
CLASSES = {
    **{name: value for name, value in PUBLIC.items() if inspect.isclass(value)},
    **{name: getattr(importlib.import_module(module), name) for module, names in RETURNED.items() for name in names},
}


def unwrap(member: object) -> Callable | None:
    """Return the function of a method, property or static method, or None if it is none of them."""
    for attribute in ("func", "fget", "__func__"):
        member = getattr(member, attribute, None) or member
    return inspect.unwrap(member) if inspect.isfunction(member) else None


def public_methods(cls: type) -> Iterator[tuple[str, Callable]]:
    for name, member in vars(cls).items():
        function = unwrap(member)
        if function is not None and not name.startswith("_"):
            yield name, function


def parameters(function: Callable) -> set[str]:
    """Return the parameters of a function as it is written, without self."""
    code = function.__code__
    flags = (code.co_flags & inspect.CO_VARARGS, code.co_flags & inspect.CO_VARKEYWORDS)
    count = code.co_argcount + code.co_kwonlyargcount + sum(map(bool, flags))
    return set(code.co_varnames[:count]) - {"self", "cls"}


METHODS = [(cls, name) for cls, value in CLASSES.items() for name, _ in public_methods(value)]


@pytest.mark.parametrize("name", [*PUBLIC, *sorted(set(CLASSES) - set(PUBLIC))])
def test_functions_and_classes_have_an_example(name):
    documented = PUBLIC.get(name) or CLASSES[name]
    text = documented.__doc__
    assert text
    assert ">>> " in inspect.getdoc(documented), f"{name} has no example"


@pytest.mark.parametrize("name", [name for name, value in PUBLIC.items() if inspect.isfunction(value)])
def test_every_parameter_of_a_function_is_documented(name):
    function = inspect.unwrap(PUBLIC[name])
    assert parameters(function) <= set(ARGUMENT.findall(inspect.getdoc(function)))


@pytest.mark.parametrize(("cls", "name"), METHODS, ids=lambda value: str(value))
def test_methods_are_documented_and_used_in_an_example(cls, name):
    function = dict(public_methods(CLASSES[cls]))[name]
    text = inspect.getdoc(function)
    assert text, f"{cls}.{name} has no docstring"
    example = "\n".join(line for line in inspect.getdoc(CLASSES[cls]).splitlines() if line.startswith((">>> ", "... ")))
    used = re.search(rf"\.{name}\b", example)
    assert used or ">>> " in text, f"{cls}.{name} has no example, and that of its class does not use it"
    positional = parameters(function)
    assert len(positional) < 3 or positional <= set(ARGUMENT.findall(text)), f"{cls}.{name}: Args is incomplete"


def test_all_classes_that_are_returned_are_checked():
    returned = {name for value in PUBLIC.values() if inspect.isfunction(value) for name in named_classes(value)}
    for cls in CLASSES.values():
        returned |= {name for _, function in public_methods(cls) for name in named_classes(function)}
    assert returned - set(CLASSES) <= PLAIN


TABLES = {"DataFrame", "Finding", "Findings", "FindingsByFold", "RunFigure"}
RECORDS = {
    "Batch",
    "Estimate",
    "InputBlock",
    "Inputs",
    "Message",
    "Module",
    "None",
    "Path",
    "Pushed",
    "ResolvedConfig",
    "Rows",
    "Run",
}
PLAIN = TABLES | RECORDS | {"Message", "Pushed", "Scores", "State"}
"""Classes of other packages, plain records without methods of their own, and figures."""


def named_classes(function: Callable) -> set[str]:
    """Return the names with a capital letter in the annotation of what a function returns."""
    annotation = str(inspect.unwrap(function).__annotations__.get("return", ""))
    return set(re.findall(r"\b[A-Z][a-z]\w+", annotation)) - set(dir(typing))

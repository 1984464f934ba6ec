"""`yisheng explain` knows every value of a config, Chinese names and usual aliases, and suggests the nearest."""

from collections import Counter

import pytest

import yisheng
from yisheng.core import glossary, registry
from yisheng.core.config import Config
from yisheng.core.text_tables import text_width
from yisheng.experiments.explain import explain, find_page_term
from yisheng.experiments.explain_names import CONCEPT, KIND_OF_KEY, Meaning, find_meanings, list_literals, list_options

CONCEPTS = registry.names("scratch")


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("过拟合", "overfitting"),
        ("欠拟合", "overfitting"),
        ("权重衰减", "weight-decay"),
        ("权重衰退", "weight-decay"),
        ("丢弃法", "dropout"),
        ("暂退法", "dropout"),
        ("交叉熵", "cross-entropy"),
        ("学习率", "option.lr"),
        ("混淆矩阵", "confusion-matrix"),
        ("反向传播", "backpropagation"),
        ("批量大小", "key.batch"),
        ("早停", "key.patience"),
        (" Weight_Decay ", "weight-decay"),
        ("CrossEntropyLoss", "cross-entropy"),
        ("torch.nn.CrossEntropyLoss()", "cross-entropy"),
        ("nn.functional.cross_entropy", "cross-entropy"),
        ("torch.nn.ReLU", "relu"),
        ("Conv2d", "cross-correlation"),
        ("mse", "squared-loss"),
        ("l1", "l1-penalty"),
        ("huber", "huber-loss"),
        ("kaiming-normal", "kaiming"),
        ("kaiming_normal_", "kaiming"),
        ("one-cycle", "learning-rate-schedule"),
        ("ＡＤＡＭ", "adam"),
        ("resnet18", "model.resnet18"),
        ("fashion_mnist", "data.fashion-mnist"),
        ("loss.huber", "loss.huber"),
        ("key.precision", "key.precision"),
        ("bf16", "key.precision"),
        ("epochs", "key.epochs"),
        ("hidden", "option.hidden"),
        ("tpe", "search.tpe"),
        ("inverse", "schedule.inverse"),
        ("gradient-c", None),
    ],
)
def test_names_lead_to_their_page(name, page):
    if page is None:
        with pytest.raises(yisheng.UsageError, match="unknown concept"):
            find_meanings(name)
        return
    assert str(find_meanings(name)[0]) == page
    explanation = explain(name)
    assert explanation.name == page.rpartition(".")[2]
    assert explanation.about


def test_further_meanings_of_a_name_are_listed():
    assert {"loss.mse", "metrics.mse"} <= set(explain("mse").see)
    assert "key.precision" in explain("precision").see
    assert "yisheng explain loss.mse" in str(explain("mse"))
    for name in explain("mse").see:
        assert str(find_meanings(name)[0]) == name


@pytest.mark.parametrize("key", KIND_OF_KEY)
def test_every_component_is_explained(key):
    for name in registry.names(KIND_OF_KEY[key]):
        explanation = explain(f"{key}.{name}")
        assert (explanation.group, explanation.name) == (key, name)
        assert explanation.about.strip(), name
        assert name in explanation.command
        assert [a.name for a in explanation.arguments] == list(registry.find(KIND_OF_KEY[key], name).options)
        assert find_meanings(name), name


def test_every_key_is_explained_with_its_values():
    for key, info in Config.model_fields.items():
        explanation = explain(f"key.{key}")
        assert info.description in explanation.about
        assert set(list_literals(info.annotation)) <= {argument.name for argument in explanation.arguments}
        for value in list_literals(info.annotation):
            assert find_meanings(value), value


def test_every_option_and_its_values_are_explained():
    for option, owners in list_options().items():
        explanation = explain(f"option.{option}")
        assert len(explanation.arguments) == len(owners)
        assert find_meanings(option), option
        for _, entry in owners:
            assert all(find_meanings(value) for value in list_literals(entry.options[option].type))


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("adamm", "adam"),
        ("weigth decay", "weight-decay"),
        ("权重衰", "权重衰减"),
        ("CrossEntropyLos", "CrossEntropyLoss"),
        ("resnet19", "resnet18"),
        ("epohcs", "epochs"),
        ("过度拟合", "过拟合"),
    ],
)
def test_an_unknown_name_suggests_the_nearest(name, nearest):
    with pytest.raises(yisheng.UsageError) as caught:
        explain(name)
    assert f"unknown concept {name!r}" in str(caught.value)
    suggestions = caught.value.remedy.removeprefix("did you mean ").partition("?")[0].split(", ")
    assert nearest in suggestions
    assert all(find_meanings(suggestion) for suggestion in suggestions)


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a" * 500, "\n", "查无此项的词语", "option.none-of-them"])
def test_names_without_a_meaning_are_refused(name):
    with pytest.raises(yisheng.UsageError, match="unknown concept"):
        explain(name)


@pytest.mark.parametrize("name", CONCEPTS)
def test_every_concept_has_names_in_chinese(name):
    term = find_page_term(Meaning(CONCEPT, name))
    assert term is not None, "add it to core/glossary.toml"
    assert text_width(term.chinese[0]) > len(term.chinese[0]), "the preferred name is Chinese"
    assert explain(term.chinese[0]).name == name
    assert str(explain(name)).startswith(f"{name} ({', '.join(term.chinese)})\n")


def test_every_name_of_the_glossary_has_one_meaning_and_leads_to_its_page():
    terms = glossary.read_glossary()
    names = Counter(name for term in terms for name in {glossary.squeeze(name) for name in term.names})
    assert [name for name, count in names.items() if count > 1] == []
    for term in terms:
        assert all(text_width(name) > len(name) for name in term.chinese if not name.isascii())
        if term.page is None:
            continue
        (page, *_) = find_meanings(term.page)
        for name in term.names:
            assert page in find_meanings(name), f"{name} does not lead to {page}"


def test_related_pages_exist():
    for term in glossary.read_glossary():
        for page in term.see:
            assert str(find_meanings(page)[0]) == page
    assert explain("学习率").see == ("gradient-descent", "learning-rate-schedule")


def test_no_term_gives_a_name_that_is_a_concept_of_its_own():
    for term in glossary.read_glossary():
        wrong = {
            n for n in term.names for c in CONCEPTS if glossary.squeeze(n) == glossary.squeeze(c) and c != term.page
        }
        assert not wrong, f"{wrong} of {term.english} are concepts"

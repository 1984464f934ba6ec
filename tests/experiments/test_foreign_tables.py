"""A table in a foreign encoding and form of numbers: looked at, trained, predicted through every way in."""

import json

import pandas as pd
import pytest

import yisheng
from yisheng.cli import main
from yisheng.experiments.data_sets import describe_data_set
from yisheng.inference.predictor import Predictor
from yisheng.serving.inputs import parse_inputs
from yisheng.serving.limits import Limits

TOWNS = ["北京", "上海", "广州"]
ROWS = [f"{n % 9 + 1}.{n * 7 % 1000:03d},50;{TOWNS[n % 3]};{n % 11},5" for n in range(120)]
TABLE = "\n".join(["价格;城市;结果", *ROWS, ""])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("foreign")
    (folder / "train.csv").write_bytes(TABLE.encode("gbk"))
    run = yisheng.train(
        data=str(folder / "train.csv"), target="结果", model="linear", epochs=1, out=str(folder / "runs"), quiet=True
    )
    return run, folder


def test_a_table_is_described_without_a_target(trained):
    _, folder = trained
    facts = describe_data_set(str(folder / "train.csv"), {})
    assert facts["rows"] == 120
    assert [row["column"] for row in facts["columns"]] == ["价格", "城市", "结果"]
    assert [row["kind"] for row in facts["columns"]] == ["number", "category", "number"]
    assert facts["targets"][0] == {"target": "target=价格", "task": "regression", "why": "its name"}
    assert any(finding["check"] == "encoding" for finding in facts["findings"])
    assert describe_data_set(str(folder / "train.csv"), {"target": "结果"})["task"] == "regression"


def test_every_way_of_predicting_gives_the_same(trained):
    run, folder = trained
    row = "4.900;北京"
    predictor = Predictor(run.path)
    expected = predictor.predict(pd.DataFrame({"价格": [4900.0], "城市": ["北京"]}))[0].prediction
    files = {"gbk": f"价格;城市\n{row}\n".encode("gbk"), "utf-8": f"价格;城市\n{row}\n".encode()}
    for encoding, content in files.items():
        path = folder / f"{encoding}.csv"
        path.write_bytes(content)
        assert run.predict(path)[0].prediction == expected
        inputs = parse_inputs(content, "text/csv", predictor.spec, Limits())
        assert predictor.compute_outputs(inputs.x)[0, 0] == pytest.approx(expected)
    declared = parse_inputs(files["gbk"], "text/csv; charset=gb18030", predictor.spec, Limits())
    assert declared.x[0, 0] == 4900
    sent = json.dumps({"rows": [{"价格": "4.900", "城市": "北京"}]}).encode()
    assert parse_inputs(sent, "application/json", predictor.spec, Limits()).x[0, 0] == 4900
    (folder / "points.csv").write_text("价格,城市\n4900.0,北京\n", encoding="utf-8")
    assert run.predict(str(folder / "points.csv"), decimal="point")[0].prediction == expected
    with pytest.raises(yisheng.core.errors.DataError, match="as in training, like 1.234,5"):
        run.predict(str(folder / "points.csv"))


def test_the_command_predicts_with_the_same_options(trained, capsys):
    run, folder = trained
    (folder / "points.csv").write_text("价格,城市\n4900.0,北京\n", encoding="utf-8")
    arguments = ["predict", str(run.path), str(folder / "points.csv"), "decimal=point"]
    assert main([*arguments, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)["predictions"][0]["prediction"]
    out = folder / "out.csv"
    assert main([*arguments, f"out={out}"]) == 0
    assert float(pd.read_csv(out)["结果"][0]) == pytest.approx(value)
    assert main(["predict", str(run.path), str(folder / "train.csv"), "colour=red"]) == 2
    assert main(["predict", str(run.path), str(folder / "train.csv"), "decimal=x"]) == 2
    assert main(["predict", str(run.path), str(folder / "points.csv")]) == 3

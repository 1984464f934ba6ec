"""A program's file may come from anyone: what it may name is in a list, and damaged files are refused."""

import copy
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.inference.program_networks import build
from tests.inference.test_program import record
from yisheng.core.errors import DataError
from yisheng.inference.program_operators import ATEN, find_operator, name_operator
from yisheng.inference.program_reader import read_program
from yisheng.inference.program_sizes import FUNCTIONS

FUZZED = ("lstm", "sizes", "batch norm", "attention", "dict output", "buffers")


@pytest.fixture(scope="module")
def programs():
    """Program, weights and inputs of some networks, by name."""
    recorded = {}
    for name in FUZZED:
        network, draw = build(name)
        program = record(network, draw())
        recorded[name] = program, network.state_dict(), draw(2)
    return recorded


def read_changed(programs, name, change):
    """Return the network of a program whose data was changed by a function."""
    program, weights, _ = programs[name]
    data = json.loads(json.dumps(program.data))
    change(data)
    return read_program(data, weights, program.constants)


def set_node(position, **values):
    def change(data):
        data["nodes"][position].update(values)

    return change


@pytest.mark.parametrize(
    "name",
    [
        *("aten.from_file.default", "aten.rand.default", "aten.randn_like.default", "aten.dropout.default"),
        *("aten.bernoulli.default", "aten.manual_seed.default", "aten.save.default", "aten._print.default"),
        *("aten.relu_.default", "aten.add_.Tensor", "aten.add.out", "aten.sort.values", "aten.max.dim_max"),
        *("aten.set_.default", "aten.resize_.default", "aten.empty.memory_format", "aten.xlogy.OutTensor"),
        *(
            "aten.__class__",
            "aten.__init__.default",
            "aten.relu.__class__",
            "aten.relu",
            "aten..",
            "aten.relu.default.",
        ),
        *("prim.device.default", "quantized.linear.default", "os.system", "builtins.eval", "torch.load"),
        *(
            "operator.attrgetter",
            "operator.pow",
            "operator.__import__",
            "math.factorial",
            "",
            "a" * 100_000,
            "ａten.relu.default",
        ),
    ],
)
def test_operators_that_are_not_in_the_list_are_refused(programs, name):
    with pytest.raises(ValueError, match=r"is not allowed in a program|has no operator"):
        find_operator(name)
    with pytest.raises(DataError, match=r"the network's program is damaged"):
        read_changed(programs, "batch norm", set_node(0, op=name))


def test_no_allowed_operator_writes_files_or_memory_that_it_was_given():
    count = 0
    for base in sorted(ATEN):
        packet = getattr(torch.ops.aten, base)
        for overload in packet.overloads():
            try:
                find_operator(f"aten.{base}.{overload}")
            except ValueError:
                continue
            count += 1
            operation = getattr(packet, overload)
            schema = operation._schema
            assert not schema.is_mutable, operation
            types = {str(argument.type) for argument in schema.arguments}
            assert not any("Generator" in kind or "Stream" in kind or "Storage" in kind for kind in types), operation
            results = {str(result.type) for result in schema.returns}
            assert any("Tensor" in kind for kind in types | results), operation  # numbers alone are TorchScript's
            assert "filename" not in {argument.name for argument in schema.arguments}, operation
            assert "nondeterministic_seeded" not in {tag.name for tag in operation.tags} or base in (
                "lstm",
                "gru",
                "rnn_tanh",
                "rnn_relu",
                "scaled_dot_product_attention",
            ), operation
            assert name_operator(operation) == f"aten.{base}.{overload}"
    assert count > 600


@pytest.mark.parametrize("function", sorted(set(FUNCTIONS) - {"operator.getitem"}))
def test_functions_on_sizes_take_numbers_only(function):
    for value in ("a" * 10, [1], torch.ones(2), None):
        with pytest.raises(TypeError, match="numbers"):
            FUNCTIONS[function](value, 10**9)


def test_sizes_do_not_grow_without_limit():
    assert FUNCTIONS["operator.mul"](2**40, 2**20) == 2**60
    with pytest.raises(ValueError, match="64 bits"):
        FUNCTIONS["operator.mul"](2**40, 2**40)


def call(name, *arguments):
    return find_operator(name)(*arguments)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("aten.lstm.input", (torch.ones(3, 4, 5), [torch.ones(1, 2, 6)] * 2, [torch.ones(24, 5), torch.ones(24, 6)])),
        ("aten.lstm.input", (torch.ones(3, 4, 5), [torch.ones(1, 3, 6)] * 2, [torch.ones(24, 5), torch.ones(24, 7)])),
        ("aten.gru.input", (torch.ones(3, 4, 5), torch.ones(1, 3, 6), [torch.ones(24, 5), torch.ones(24, 6)])),
    ],
)
def test_recurrent_layers_of_other_shapes_are_refused(name, arguments):
    """torch itself would read and write memory that is not theirs."""
    with pytest.raises(ValueError, match="do not fit one another"):
        call(name, *arguments, False, 1, 0.0, False, False, True)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (
            "aten.batch_norm.default",
            (torch.ones(2, 9), None, None, torch.ones(1), torch.ones(1), False, 0.1, 1e-5, False),
        ),
        (
            "aten._native_batch_norm_legit_no_training.default",
            (torch.ones(2, 9), None, None, torch.ones(1), torch.ones(1), 0.1, 1e-5),
        ),
        ("aten._weight_norm.default", (torch.ones(4, 3), torch.ones(1, 1), 0)),
        ("aten._weight_norm.default", (torch.ones(0, 3), torch.ones(0, 1), 0)),
        (
            "aten.embedding_bag.padding_idx",
            (
                torch.ones(4, 3),
                torch.ones(2, 0, dtype=torch.int64),
                torch.ones(6, 0, 4),
                False,
                0,
                False,
                None,
                True,
                None,
            ),
        ),
    ],
)
def test_other_layers_of_other_shapes_are_refused(name, arguments):
    with pytest.raises(ValueError, match="do not fit one another"):
        call(name, *arguments)


def find_node(data, operation):
    return next(node for node in data["nodes"] if node["op"].startswith(operation))


def make_lstm_random(data):
    find_node(data, "aten.lstm")["args"][6] = True


def make_lstm_depend_on_a_node(data):
    find_node(data, "aten.lstm")["args"][6] = {"node": data["nodes"][0]["name"]}


def make_attention_random(data):
    node = find_node(data, "aten.scaled_dot_product_attention")
    node["args"] = [*node["args"][:3], None, 0.5]


def make_attention_random_by_name(data):
    find_node(data, "aten.scaled_dot_product_attention")["kwargs"]["dropout_p"] = 0.5


def train_batch_norm(data):
    node = find_node(data, "aten._native_batch_norm")
    node["op"] = "aten.batch_norm.default"
    node["args"] = [*node["args"][:5], True, 0.1, 1e-5, False]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("lstm", make_lstm_random),
        ("lstm", make_lstm_depend_on_a_node),
        ("attention", make_attention_random),
        ("attention", make_attention_random_by_name),
        ("batch norm", train_batch_norm),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_program_can_neither_draw_numbers_nor_train(programs, name, change):
    with pytest.raises(DataError, match=r"may not (draw random numbers|change running statistics)"):
        read_changed(programs, name, change)


def rename_tensor(name):
    def change(data):
        data["tensors"][0]["tensor"] = name

    return change


@pytest.mark.parametrize(
    "name", ["forward", "__class__", "net.__dict__.x", "a..b", ".", "", "../x", "training", "x" * 2000]
)
def test_names_of_tensors_cannot_replace_attributes(programs, name):
    program, weights, _ = programs["batch norm"]
    data = copy.deepcopy(program.data)
    old = data["tensors"][0]["tensor"]
    data["tensors"][0]["tensor"] = name
    renamed = {name if key == old else key: value for key, value in weights.items()}
    try:
        module = read_program(data, renamed, program.constants)
    except DataError:
        return
    assert type(module).__name__ == "ProgramModule"
    assert callable(module.forward)
    assert module.training is False


def nest(depth):
    value = 0
    for _ in range(depth):
        value = [value]
    return value


CHANGES = {
    "not a program": lambda data: data.clear(),
    "format": lambda data: data.update(format=2),
    "unknown key": lambda data: data.update(code="import os"),
    "number as a name": set_node(0, name=1),
    "name of a dunder": set_node(0, name="1a"),
    "same name twice": lambda data: data["nodes"][1].update(name=data["nodes"][0]["name"]),
    "name of an input": lambda data: data["nodes"][1].update(name=data["inputs"][0]["name"]),
    "later node": lambda data: data["nodes"][0]["args"].__setitem__(0, {"node": data["nodes"][-1]["name"]}),
    "unknown node": lambda data: data["nodes"][0]["args"].__setitem__(0, {"node": "nothing"}),
    "two keys": lambda data: data["nodes"][0]["args"].__setitem__(0, {"node": "a", "float": "inf"}),
    "unknown dtype": lambda data: data["nodes"][0]["args"].__setitem__(0, {"dtype": "object"}),
    "unknown float": lambda data: data["nodes"][0]["args"].__setitem__(0, {"float": "__import__"}),
    "large number": lambda data: data["nodes"][0]["args"].__setitem__(0, 2**70),
    "long text": lambda data: data["nodes"][0]["args"].__setitem__(0, "x" * 10_000),
    "nested lists": lambda data: data["nodes"][0]["args"].__setitem__(0, nest(50)),
    "very nested lists": lambda data: data["nodes"][0]["args"].__setitem__(0, nest(900)),
    "no output": lambda data: data.update(outputs=[]),
    "unknown output": lambda data: data.update(outputs=["nothing"]),
    "result of nothing": lambda data: data.update(result={"tensor": 5}),
    "result of an object": lambda data: data.update(result={"object": "os"}),
    "other shape": lambda data: data["tensors"][0]["shape"].append(3),
    "other dtype": lambda data: data["tensors"][0].update(dtype="int64"),
    "unknown kind": lambda data: data["tensors"][0].update(kind="pickle"),
    "missing tensor": lambda data: data["tensors"].pop(0),
    "tensor twice": lambda data: data["tensors"].append(data["tensors"][0]),
    "many nodes": lambda data: data.update(nodes=[data["nodes"][0]] * 100_001),
    "type by a number": lambda data: data["nodes"][0].update(
        op="aten.softmax.int", args=[{"node": data["inputs"][0]["name"]}, 1, -2]
    ),
    "type of a node": lambda data: data["nodes"][0]["kwargs"].update(dtype={"node": data["inputs"][0]["name"]}),
    "negative size": lambda data: data["inputs"][0].update(shape=[-1]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_damaged_programs_are_refused(programs, change):
    with pytest.raises(DataError, match="the network's program is damaged") as error:
        read_changed(programs, "batch norm", CHANGES[change])
    assert "\n" not in error.value.problem
    assert len(error.value.problem) < 500


def test_a_step_that_fails_is_reported(programs):
    name = "batch norm"
    program, _, inputs = programs[name]
    module = read_changed(programs, name, lambda data: data["nodes"][0]["args"].__setitem__(1, {"float": "nan"}))
    with pytest.raises(DataError, match=f"the network's program stops at {program.data['nodes'][0]['name']}"):
        module(*inputs)


def test_memory_that_does_not_exist_is_reported(programs):
    module = read_changed(
        programs,
        "lstm",
        lambda data: find_node(data, "aten.zeros.default").update(args=[[2, 2**40, 7]]),
    )
    with pytest.raises(DataError, match="the network's program stops at zeros"):
        module(*programs["lstm"][2])


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 6)
    | st.sampled_from([2**62, -(2**63), 2**64])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "aten.relu.default", "aten.linear.default", "operator.getitem", "float32", "inf", "x"])
    | st.sampled_from([{"node": "linear"}, {"dtype": "int64"}, {"device": "input"}, {"float": "nan"}, {"tensor": 0}]),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(st.sampled_from(["node", "tensor", "tuple", "dict", "a"]), children, max_size=2)
    ),
    max_leaves=4,
)


def list_places(value, path=()):
    """Yield the path of every value in nested data."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from list_places(item, (*path, key))


@given(data=st.data())
@settings(max_examples=300)
def test_any_change_is_refused_or_harmless(programs, data):
    name = data.draw(st.sampled_from(FUZZED))
    program, weights, inputs = programs[name]
    plain = json.loads(json.dumps(program.data))
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.sampled_from(list(list_places(plain))))
        container = plain
        for key in place[:-1]:
            container = container[key]
        if data.draw(st.booleans()):
            container[place[-1]] = data.draw(JSON_VALUES)
        else:
            del container[place[-1]]
    before = {key: value.clone() for key, value in weights.items()}
    generator = torch.get_rng_state()
    try:
        with torch.no_grad():
            read_program(plain, weights, program.constants)(*inputs)
    except DataError:
        pass
    assert torch.equal(torch.get_rng_state(), generator)
    for key, value in weights.items():
        assert torch.equal(value, before[key])

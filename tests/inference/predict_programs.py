"""Read the programs in folders and compare their outputs with the saved ones, in a process without the networks."""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from yisheng.core import nested
from yisheng.inference.program_json import fill_structure, flatten_structure
from yisheng.inference.program_reader import read_program


def main() -> None:
    """Compare the folders in the folder of the command line."""
    for folder in sorted(Path(sys.argv[1]).iterdir(), key=lambda path: int(path.name)):
        data = json.loads((folder / "program.json").read_text())
        weights, constants, inputs, outputs = (
            load_file(folder / f"{name}.safetensors") for name in ("weights", "constants", "inputs", "outputs")
        )
        module = read_program(data, weights, constants)
        x = fill_structure(data["arguments"], [inputs[str(n)] for n in range(len(inputs))])
        leaves: list[torch.Tensor] = []
        with torch.no_grad():
            flatten_structure(nested.call(module, x), leaves)
        for number, value in enumerate(leaves):
            torch.testing.assert_close(value, outputs[str(number)], rtol=1e-5, atol=1e-6)
        assert "tests" not in sys.modules
        print("equal")


if __name__ == "__main__":
    main()

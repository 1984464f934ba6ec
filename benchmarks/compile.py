"""Compare updates with a compiled network with ordinary ones: processor time, and what compiling costs.

    python benchmarks/compile.py [threads=1] [seconds=4] [networks=mlp,lenet,...]

Each network trains in a process of its own, on random inputs, with Adam. Ordinary and compiled updates alternate; the
table has the median processor time of both, the ratio of the medians and of the shortest, the processor seconds that
compiling took with an empty cache (the C++ compiler included), and how many updates win them back.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

NETWORKS = ("mlp", "mlp-wide-batch", "lenet", "resnet18", "tabm", "transformer", "gelu-from-scratch", "rnn-cell")


def main(words: list[str]) -> None:
    """Print a row for each network."""
    options = {"threads": "1", "seconds": "4", "networks": ",".join(NETWORKS), **dict(w.split("=", 1) for w in words)}
    print("| network | batch | ms | compiled, ms | ratio | of the shortest | compiling, s | updates to win it back |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in options["networks"].split(","):
        with tempfile.TemporaryDirectory() as folder:
            environment = {"OMP_NUM_THREADS": options["threads"], "TORCHINDUCTOR_CACHE_DIR": folder}
            command = [sys.executable, __file__, "measure", name, options["seconds"]]
            result = subprocess.run(command, env={**os.environ, **environment}, check=True, stdout=subprocess.PIPE)
        print(json.loads(result.stdout.splitlines()[-1]), flush=True)


def measure(name: str, seconds: float) -> str:
    """Return the row of one network."""
    import torch
    from torch import nn

    from yisheng.core import autocast
    from yisheng.training.compiled import CompiledNetwork

    torch.manual_seed(0)
    model, x = build(name)
    y = torch.randint(10, (len(x),))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    compiled = CompiledNetwork(model.train(), len(x))

    def update(forward) -> float:
        start = time.process_time()
        output = forward(model, x, bf16=False)
        targets = y.repeat_interleave(output.shape[1]) if output.ndim == 3 else y
        nn.functional.cross_entropy(output.flatten(0, -2), targets).backward()
        optimizer.step()
        optimizer.zero_grad()
        return time.process_time() - start

    plain = [update(autocast.forward) for _ in range(3)][-1]
    start = count_processor_seconds()
    update(compiled.forward)
    compiling = count_processor_seconds() - start
    times = [
        (update(autocast.forward), update(compiled.forward))
        for _ in range(max(5, round(seconds / 2 / max(plain, 1e-5))))
    ]
    plain, fast = (statistics.median(column) for column in zip(*times, strict=True))
    shortest = [min(column) for column in zip(*times, strict=True)]
    won = f"{compiling / (plain - fast):,.0f}" if fast < 0.99 * plain else "never"
    ratios = f"{fast / plain:.2f} | {shortest[1] / shortest[0]:.2f}"
    return f"| {name} | {len(x)} | {1e3 * plain:.2f} | {1e3 * fast:.2f} | {ratios} | {compiling:.0f} | {won} |"


def count_processor_seconds() -> float:
    """Return the processor time of this process and of those that it started and that ended."""
    usages = [resource.getrusage(target) for target in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def build(name: str):
    """Return a network and its inputs."""
    import torch
    from torch import nn

    from yisheng import models
    from yisheng.core.spec import Spec

    classes = tuple("abcdefghij")
    rows = Spec("classification", (20,), classes=classes)
    if name == "lenet":
        return models.build(name, Spec("classification", (1, 28, 28), classes=classes)), torch.randn(128, 1, 28, 28)
    if name == "resnet18":
        return models.build(name, Spec("classification", (3, 32, 32), classes=classes)), torch.randn(32, 3, 32, 32)
    if name in ("mlp", "mlp-wide-batch"):
        return models.build("mlp", rows), torch.randn(128 if name == "mlp" else 1024, 20)
    if name == "tabm":
        return models.build(name, rows), torch.randn(256, 20)

    class Gelu(nn.Module):
        def forward(self, x):
            return 0.5 * x * (1 + torch.tanh(0.79788456 * (x + 0.044715 * x**3)))

    class Sequence(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.head = nn.Embedding(1000, 64), nn.Linear(64, 10)
            layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2)
            self.input, self.hidden = nn.Linear(64, 64), nn.Linear(64, 64)

        def forward(self, x):
            x = self.embedding(x)
            if name == "transformer":
                return self.head(self.encoder(x).mean(1))
            hidden = x.new_zeros(len(x), 64)
            for step in x.unbind(1):
                hidden = torch.tanh(self.input(step) + self.hidden(hidden))
            return self.head(hidden)

    if name == "gelu-from-scratch":
        layers = [layer for _ in range(3) for layer in (nn.Linear(256, 256), Gelu())]
        return nn.Sequential(nn.Linear(20, 256), Gelu(), *layers, nn.Linear(256, 10)), torch.randn(256, 20)
    return Sequence(), torch.randint(1000, (64, 40))


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        print(json.dumps(measure(sys.argv[2], float(sys.argv[3]))))
    else:
        main(sys.argv[1:])

"""Search for the best setting: train many, choose one, and train its model.

usage: yisheng tune [config=FILE.toml] lr=0.01,0.1 [wd=log(1e-6,1e-2)] [key=value ...] [n=40]
                    [search=grid|random|coarse|halving|tpe] [folds=5] [seeds=3]
                    [how=auto|serial|stacked] [processes=1] [tensorboard=true]
                    [out=runs] [--json] [--quiet]

Keys are the config's, as of `yisheng train`; a value may be several, or a range:

  lr=0.01,0.1            two alternatives           hidden=64,256          two networks of one hidden layer
  hidden=[64,32],[128]   lists keep brackets        batch=int(16,64)       whole numbers
  lr=log(1e-4,1)         even on a log scale        dropout=uniform(0,0.5) even
  width=logint(16,512)   whole, even on a log scale (a shell wants quotes around brackets: "lr=log(1e-4,1)")

search= grid: every combination. random: n by chance. coarse: half of n by chance, the rest in a smaller box around
the best third. halving: n for few epochs, the better ones for more. tpe: Optuna's sampler. Without it: grid where
there are alternatives only, else random. Its options are written search.eta=4.

Every setting is trained on each of the folds with each of the seeds. The folder holds trials.csv, a report, and in
best/ the chosen setting's model; `yisheng predict` takes the folder, and `yisheng resume` continues it.
The last line printed is its path.
"""

from __future__ import annotations

from pathlib import Path

from yisheng.cli._arguments import Arguments, streams


def run(arguments: Arguments) -> int:
    """Do it."""
    arguments.inputs_only(0, 0, "keys and values only (data=NAME, not a bare NAME)")
    as_json, quiet = arguments.flag("json"), arguments.flag("quiet")
    out = Path(arguments.take("out") or "runs")
    n = arguments.number("n", 1) if "n" in arguments.settings else None
    seeds, processes = arguments.number("seeds", 1), arguments.number("processes", 1)
    tensorboard = arguments.flag("tensorboard")
    search, how = arguments.take("search") or "auto", arguments.take("how") or "auto"
    options = {key: arguments.take(key) for key in list(arguments.settings) if key.startswith("search.")}
    file = arguments.take("config")
    for_people, remarks = streams(as_json, quiet)

    from yisheng.cli._summary import show
    from yisheng.core.config import Setting, read
    from yisheng.experiments.search.run_search import tune
    from yisheng.experiments.search.settings import study

    settings: list[Setting] = read(Path(file)) if file is not None else []
    settings += [(key, value, "command line") for key, value in arguments.settings.items()]
    found = study(
        settings,
        search=search,
        n=n,
        seeds=seeds,
        how=how,
        processes=processes,
        options={key.removeprefix("search."): value for key, value in options.items()},
        tensorboard=tensorboard,
    )
    show(tune(found, out=out, stream=remarks), as_json=as_json, stream=for_people, quiet=quiet)
    return 0


def more_help() -> str:
    """The keys of the config."""
    from yisheng.cli._config import keys_help

    return keys_help()

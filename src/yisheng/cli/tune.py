"""Search for the best setting: train many, choose one, and train its model.

usage: yisheng tune [config=FILE.toml] lr=0.01,0.1 [weight_decay=log(1e-6,1e-2)] [key=value ...] [n=40]
                    [search=grid|random|coarse|halving|tpe] [folds=5] [seeds=3]
                    [executor=auto|serial|stacked] [processes=1] [cluster=local:4|auto|HOST:PORT]
                    [tensorboard=true] [out=runs] [--json] [--quiet]

Keys are those of the config, as for `yisheng train`; a key may have several values, or a range:

  lr=0.01,0.1               two alternatives
  hidden=64,256             two networks of one hidden layer
  hidden=[64,32],[128]      lists keep brackets
  degree=1,3,19             an option of the data, if it is a number or a word
  lr=log(1e-4,1)            even on a log scale (a shell needs quotes)
  width=logint(16,512)      whole, even on a log scale
  batch=int(16,64)          whole numbers
  dropout=uniform(0,0.5)    even

search= grid: every combination. random: n at random. coarse: half of n at random, the others in a smaller box around
the best third. halving: n for few epochs, the better ones for more. tpe: Optuna's sampler. By default grid if there are
alternatives only, else random. Its options are written search.eta=4.

Every setting is trained on each of the folds with each of the seeds. The folder has trials.csv, a report, and in best/
the chosen setting's model; `yisheng predict` takes the folder, and `yisheng resume` continues it.
cluster= trains on a cluster of Ray (https://docs.ray.io): local:4 starts four processes here.
The last line printed is its path.
"""

from __future__ import annotations

from yisheng.cli._arguments import Arguments
from yisheng.core.messages import Message


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    arguments.require_inputs(0, 0, Message("keys and values only (data=NAME, not a bare NAME)"))
    out = arguments.runs_path()
    n = arguments.number("n", 1) if "n" in arguments.settings else None
    seeds, processes = arguments.number("seeds", 1), arguments.number("processes", 1)
    tensorboard = arguments.flag("tensorboard")
    cluster = arguments.take("cluster")
    search, executor = arguments.take("search") or "auto", arguments.take("executor") or "auto"
    options = {
        key.removeprefix("search."): arguments.settings.pop(key)
        for key in list(arguments.settings)
        if key.startswith("search.")
    }

    from yisheng.cli._config import parse_settings
    from yisheng.cli._summary import print_summary
    from yisheng.core.supplied_components import separate_components, supply_components
    from yisheng.experiments.search.plan import plan_search
    from yisheng.experiments.search.run_search import tune

    settings, components = separate_components(parse_settings(arguments))
    with supply_components(**components):
        plan = plan_search(
            settings,
            search=search,
            n=n,
            seeds=seeds,
            executor=executor,
            processes=processes,
            options=options,
            tensorboard=tensorboard,
        )
        folder = tune(plan, out=out, cluster=cluster)
    print_summary(folder, arguments)
    return 0


def more_help(width: int) -> str:
    """Return the keys of the config, wrapped to a width."""
    from yisheng.cli._config import keys_help

    return keys_help(width)

"""Publish a trained model on the Hugging Face hub, or on another hub with its interface.

usage: yisheng push RUN hf:USER/NAME [private=true] [message=TEXT] [--json]

What prediction needs, the config, the scores and the model card are published, in one commit; the report, the log and
the checkpoint, which show rows of the data, are not. Pushing again makes a new version. The token is that of HF_TOKEN
or of the hub's own login; HF_ENDPOINT names another hub. Everyone with the right to read it uses it by its address:

  yisheng predict hf:USER/NAME photo.png          (also serve, export, and yisheng.load in Python)
  yisheng predict hf:USER/NAME@REVISION photo.png (a tag, branch or commit)

The model is downloaded once; with YISHENG_OFFLINE=1 the version that was used last is taken. A published model is read
like a run folder: nothing is unpickled, and no code of it is run.
"""

from __future__ import annotations

import json

from yisheng.cli._arguments import Arguments
from yisheng.core.messages import Message, translate
from yisheng.core.paths import parse_path


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    private, message = arguments.flag("private"), arguments.take("message")
    arguments.require_no_more("private", "message")
    arguments.require_inputs(2, 2, Message("a run folder and hf:user/name"))
    folder, target = parse_path(arguments.inputs[0], "the run folder"), arguments.inputs[1]

    from yisheng.experiments.model_hub.address import parse_hub_address
    from yisheng.experiments.model_hub.push import push

    pushed = push(folder, parse_hub_address(target), private=private, message=message)
    if arguments.json:
        facts = {"address": pushed.address, "url": pushed.url, "commit": pushed.commit, "files": dict(pushed.files)}
        print(json.dumps(facts))
        return 0
    for name, size in pushed.files.items():
        print(f"{size / 1e6:>12,.3f} MB  {name}")
    version = Message("{address}, version {commit}:", address=pushed.address, commit=pushed.commit[:12])
    print(f"{translate(version)}\n{pushed.url}")
    return 0

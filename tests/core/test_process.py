"""Settings of the command's own process."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows does not have these signals")
BUSY = """
import signal, sys
from yisheng.core.process import end_after_signals
signal.signal(signal.{name}, lambda *_: None)
end_after_signals(0.5)
print("ready", flush=True)
{work}
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
@pytest.mark.parametrize(
    "work",
    [
        "import hashlib; hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)",  # a library, which calls no handler
        "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start()",  # Python waits for it
        "while True: pass",
    ],
)
def test_a_process_ends_some_time_after_a_signal_whatever_it_does(name, work):
    code = BUSY.format(name=name, work=work)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.2)
        start = time.perf_counter()
        process.send_signal(getattr(signal, name))
        assert process.wait(timeout=20) == 128 + getattr(signal, name)
        assert 0.4 < time.perf_counter() - start < 3
        assert name in process.stderr.read().decode()


def test_other_signals_do_not_end_it():
    code = BUSY.format(name="SIGUSR1", work="import time; time.sleep(1.5)")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGUSR1)
        assert process.wait(timeout=20) == 0

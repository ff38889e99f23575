"""Programs that the tests talk to and that no package has: scripts/peers installs them."""

import functools
import subprocess

from .gateway import ROOT


@functools.cache
def peer(name):
    done = subprocess.run([str(ROOT / "scripts" / "peers"), name], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"scripts/peers {name}: {done.stderr}"
    return str(ROOT / "build" / "peers" / name)

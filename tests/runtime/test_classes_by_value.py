"""Classes that travel by value are whole wherever they arrive, whoever else reads them at that moment."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

#: Makes the pickle of an object of a class that only this program has.
SENDER = """
    import sys
    from labkit.runtime.packing import dumps
    class Word:
        def length(self):
            return 3
    sys.stdout.buffer.write(dumps(Word()))
"""
#: Two threads read it; cloudpickle, which makes the class before it fills it, is slow in between.
BOTH_AT_ONCE = """
    import sys, threading, time
    import cloudpickle.cloudpickle as pickler
    from labkit.runtime.copying import loads_anew, loads_keeping_classes
    data, fill, begun, found = sys.stdin.buffer.read(), pickler._class_setstate, threading.Event(), []
    def slow(*args):
        begun.set()
        time.sleep(0.3)
        return fill(*args)
    pickler._class_setstate = slow
    first = threading.Thread(target=lambda: found.append({first}(data).length()))
    first.start()
    begun.wait()
    found.append({second}(data).length())
    first.join()
    print(found)
"""
#: At the first time it cannot be read to its end.
FAILS_ONCE = """
    import sys
    import cloudpickle.cloudpickle as pickler
    from labkit.runtime.copying import loads_keeping_classes
    data, fill = sys.stdin.buffer.read(), pickler._class_setstate
    def failing(*args):
        pickler._class_setstate = fill
        raise ImportError("not yet")
    pickler._class_setstate = failing
    try:
        loads_keeping_classes(data)
    except ImportError:
        print([loads_keeping_classes(data).length()] * 2)
"""
#: Nobody has the class any more, and the garbage collector finds that out while it is read again.
COLLECTED = """
    import gc, sys
    import cloudpickle.cloudpickle as pickler
    from labkit.runtime.copying import loads_keeping_classes
    data, make = sys.stdin.buffer.read(), pickler._make_skeleton_class
    gc.disable()
    found = [loads_keeping_classes(data).length()]
    def collecting(*args):
        gc.collect()
        return make(*args)
    pickler._make_skeleton_class = collecting
    print([*found, loads_keeping_classes(data).length()])
"""


def run(program: str, given: bytes = b"") -> bytes:
    code = textwrap.dedent(program)
    done = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize(
    "program",
    [
        BOTH_AT_ONCE.format(first="loads_keeping_classes", second="loads_keeping_classes"),
        BOTH_AT_ONCE.format(first="loads_anew", second="loads_keeping_classes"),
        FAILS_ONCE,
        COLLECTED,
    ],
)
def test_nobody_gets_a_class_without_its_methods(program: str) -> None:
    assert run(program, run(SENDER)).strip() == b"[3, 3]"

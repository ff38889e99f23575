"""Waiting for facts: poll until something holds or a deadline passes."""

import time


def eventually(check, what="the expected fact", timeout=10.0, every=0.02):
    """Return the first truthy result of check(); fail when the deadline passes."""
    deadline = time.monotonic() + timeout
    error = None
    while True:
        try:
            result = check()
            if result:
                return result
            error = None
        except (AssertionError, OSError) as problem:
            error = problem
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what} did not come about within {timeout} s"
                                 + (f": {error!r}" if error else ""))
        time.sleep(every)

"""A bound on how long SymPy may look for a closed form."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from symtheory.inverse_design.no_closed_form import NoClosedForm


@contextmanager
def time_limit(seconds: float, what: str) -> Iterator[None]:
    """Raises ``NoClosedForm`` when the body takes longer.

    There is no bound outside the main thread, on systems without interval timers, and inside somebody else's timer.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    if signal.getitimer(signal.ITIMER_REAL)[0] > 0:
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise NoClosedForm(f"{what} took SymPy longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

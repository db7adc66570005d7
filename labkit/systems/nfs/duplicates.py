"""The duplicate request cache: what a server remembers of its last replies, although it is stateless.

It is no part of the 1985 paper. The rule is that of 4.4BSD's ``nfs_srvcache.c``: the key is the client's
address, the call's number (xid) and the procedure; a call that is still being carried out is dropped, one
that is not idempotent and was answered is answered again with the saved reply, and one that is idempotent is
carried out once more. It is kept in memory: a crash loses it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

__all__ = ["DROP", "DuplicateRequestCache"]

#: Is under way: its reply will come.
DROP = object()
_BUSY = object()


class DuplicateRequestCache:
    """The last ``window`` replies, for ``seconds``."""

    def __init__(self, window: int, seconds: float) -> None:
        self.window, self.seconds = window, seconds
        self._replies: OrderedDict[Any, tuple[float, Any]] = OrderedDict()

    def look(self, key: Any, now: float) -> Any:
        """``DROP``, the reply of a call that was answered, or None: it is new, and now under way."""
        while self._replies:
            oldest, (since, reply) = next(iter(self._replies.items()))
            late = now - since > self.seconds or len(self._replies) >= self.window
            if reply is _BUSY or not late or oldest == key:
                break
            del self._replies[oldest]
        found = self._replies.get(key)
        if found is None:
            self._replies[key] = (now, _BUSY)
            return None
        return DROP if found[1] is _BUSY else found[1]

    def keep(self, key: Any, reply: Any, now: float) -> None:
        """It was answered."""
        self._replies[key] = (now, reply)
        self._replies.move_to_end(key)

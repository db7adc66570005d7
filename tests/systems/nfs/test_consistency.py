"""When a client sees what another has changed, and what its caches save."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .conftest import judged, make


def test_each_consistency_sees_a_change_when_it_should() -> None:
    """None never, timeouts after a while, close-to-open at the next open."""
    nfs = make(3, consistency="none", file_seconds=(0.5, 0.5), folder_seconds=(0.5, 0.5))
    one, other = nfs.clients

    def update(text: str) -> str:
        one.write_text("/notes", text)
        nfs.settle()
        return other.read_text("/notes")

    assert update("first") == "first"
    assert update("second") == "first"
    nfs.consistency = "timeouts"
    nfs.cluster.run(1.0)
    assert other.read_text("/notes") == "second"
    assert update("third!") == "second"
    nfs.cluster.run(1.0)
    assert other.read_text("/notes") == "third!"
    nfs.consistency = "close-to-open"
    held = other.open("/notes", "rb", buffering=0)
    assert update("fourth") == "fourth"
    nfs.consistency = "no cache"
    with one.open("/notes", "r+b", buffering=0) as file:
        file.write(b"fifth")
        assert held.read() == b"fifthh"
    held.close()
    view = nfs.view()
    assert [each.mode for each in view.stale_reads] == ["none", "timeouts"]
    assert nfs.check().stale == 2
    judged(nfs)
    nfs.cluster.close()


def test_changing_one_file_from_two_clients() -> None:
    """Writers of different blocks do not harm each other; close-to-open drops what the other has changed."""
    nfs = make(5, block=1024)
    with nfs.cluster:
        one, other = nfs.clients
        one.write_bytes("/f", b"-" * 4096)
        first, second = one.open("/f", "r+b", 0), other.open("/f", "r+b", 0)
        first.write(b"one")
        second.seek(2048)
        second.write(b"other")
        first.close()
        second.close()
        assert one.read_bytes("/f") == b"one".ljust(2048, b"-") + b"other".ljust(2048, b"-")
        # The same block: who closes last has the last word on what he wrote, and only on that.
        first, second = one.open("/f", "r+b", 0), other.open("/f", "r+b", 0)
        assert first.read(3) == second.read(3) == b"one"
        first.seek(0)
        first.write(b"XX")
        second.seek(1)
        second.write(b"YY")
        first.close()
        second.close()
        assert one.read_bytes("/f")[:4] == other.read_bytes("/f")[:4] == b"XYY-"
        judged(nfs)


def test_caches_may_be_switched_off_and_on_with_writes_that_wait() -> None:
    nfs = make()
    with nfs.cluster:
        one, other = nfs.clients
        one.write_bytes("/f", b"old")
        with one.open("/f", "r+b", buffering=0) as file:
            file.write(b"AAA")
            nfs.consistency = "no cache"
            file.seek(0)
            assert file.read(3) == b"AAA"
            file.seek(0)
            file.write(b"BBB")
            nfs.consistency = "close-to-open"
            file.seek(0)
            assert file.read(3) == b"BBB"
        assert other.read_bytes("/f") == b"BBB"
        judged(nfs)


def test_read_ahead_and_fewer_calls_with_caches() -> None:
    """A path of depth d costs d lookups without the name cache, and next to none with it."""
    nfs = make(6)
    with nfs.cluster:
        one, other = nfs.clients
        one.makedirs("/a/b/c")
        one.write_bytes("/a/b/c/f", b"x" * 80_000)

        def calls(act: Callable[[], Any]) -> dict[str, int]:
            before = other.calls
            act()
            return {
                name: n - before.get(name, 0) for name, n in other.calls.items() if n > before.get(name, 0)
            }

        nfs.set(name_cache=False)
        assert calls(lambda: other.open("/a/b/c/f", "rb", 0))["lookup"] == 4
        nfs.set(name_cache=True)
        other.exists("/a/b/c/f")
        assert calls(lambda: other.open("/a/b/c/f", "rb", 0)) == {
            "lookup": 1
        }  # close-to-open asks for the last
        nfs.consistency = "timeouts"
        assert calls(lambda: other.open("/a/b/c/f", "rb", 0)) == {}
        assert calls(lambda: other.read_bytes("/a/b/c/f")) == {"read": 10}
        assert calls(lambda: other.read_bytes("/a/b/c/f")) == {}
        nfs.consistency = "no cache"
        assert calls(lambda: other.read_bytes("/a/b/c/f"))["lookup"] == 4
        judged(nfs)


def test_what_one_user_wrote_is_written_as_that_user_whoever_closes_the_file() -> None:
    """Two users of one machine: the one who may only read closes, syncs and stats first."""
    nfs = make(7)
    with nfs.cluster:
        one, other = nfs.clients
        reader = one.user(2000)
        one.write_bytes("/f", b"old" * 1000)
        file = one.open("/f", "r+b", 0)
        file.write(b"new")
        assert reader.read_bytes("/f")[:3] == b"new"
        reader.stat("/f")
        file.write(b"er")
        nfs.cluster.run(10.0)
        file.close()
        assert other.read_bytes("/f")[:5] == b"newer"
        judged(nfs)

"""Fixtures of the live tests. They run alone and need root: namespaces, raw sockets."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from wire import Wire  # noqa: E402


@pytest.fixture
def wire():
    """A wire of MTU 1500; the test starts the daemon."""
    with Wire() as laid:
        yield laid


@pytest.fixture
def both():
    """The same for IPv4 and IPv6."""
    with Wire(ipv6=True) as laid:
        yield laid

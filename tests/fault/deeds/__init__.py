"""Deeds: what is done to a trial. Each is a coroutine that leaves everything running again, and is counted by itself."""

import random
from collections.abc import Awaitable, Callable

from tests.fault.trial import Trial

Deed = Callable[[Trial, random.Random], Awaitable[None]]

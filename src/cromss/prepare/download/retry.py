"""Repeats requests after temporary failures, at a limited rate, and keeps secrets out of messages."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from requests import HTTPError, RequestException
from requests.exceptions import SSLError

from cromss.io.redact import redact as redact_addresses

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")


class RefusedError(ValueError):
    """The server's final answer is no: asking again would not help."""


class UnreachableError(OSError):
    """The server did not answer properly, however often it was asked."""


class PassingError(OSError):
    """A temporary failure of a client that does not use `requests`."""


@dataclass
class Network:
    """Rate, timeout and retries of requests.

    Attributes:
        attempts: Most tries of a request, from 1.
        wait_seconds: Pause before the second try; doubled for each further one, and randomly shortened by up to half,
            so that clients that failed together do not retry together.
        longest_wait_seconds: Longest pause. If a server asks for a longer one, there are no more tries.
        requests_per_second: Most requests per second, over all servers.
        timeout_seconds: Longest time without an answer.
        sleep: Function that waits for seconds.
        clock: Function that returns the time in seconds.
    """

    attempts: int
    wait_seconds: float
    longest_wait_seconds: float
    requests_per_second: float
    timeout_seconds: float
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _next: float = field(default=float("-inf"), init=False)

    def ask(self, what: str, request: Callable[[], Answer], progress: Callable[[], int] | None = None) -> Answer:
        """Does a request until it succeeds.

        Args:
            what: What is requested; the messages begin with it. Secrets in URLs are removed.
            request: Raises an error of `requests`, a `PassingError`, a ConnectionError or a TimeoutError where it
                fails.
            progress: Returns the progress; the count of tries starts again whenever it grows.

        Returns:
            What the request returns.

        Raises:
            RefusedError: The answer is final: HTTP 4xx except 408 and 429, or an invalid URL.
            UnreachableError: All tries failed.
        """
        tries, farthest = 0, progress() if progress else 0
        while True:
            self._keep_rate()
            try:
                return request()
            except (RequestException, PassingError, ConnectionError, TimeoutError) as error:
                # The error itself may carry a password, so it must not be shown as the cause either.
                message = redact(f"{what}: {error}")
                if not _is_passing(error):
                    raise RefusedError(message) from None
                if progress and progress() > farthest:
                    tries, farthest = 0, progress()
                tries += 1
                pause = max(self._pause(tries), wanted := _retry_after(error))
                if tries == self.attempts or wanted > self.longest_wait_seconds:
                    asked = f"; the server asks to wait for {wanted:.0f} s" if wanted else ""
                    raise UnreachableError(
                        f"{message}. Tried {tries} times{asked}: run the same command again later, it resumes"
                    ) from None
            log.info("%s; trying again in %.1f s", message, pause)
            self.sleep(pause)

    def _pause(self, tries: int) -> float:
        longest = min(self.wait_seconds * 2.0 ** (tries - 1), self.longest_wait_seconds)
        return longest * random.uniform(0.5, 1)

    def _keep_rate(self) -> None:
        now = self.clock()
        if now < self._next:
            self.sleep(self._next - now)
        self._next = max(now, self._next) + 1 / self.requests_per_second


def is_passing_status(status: int) -> bool:
    """Whether an HTTP status is temporary: 408, 429 and 5xx."""
    return status in (408, 429) or status >= 500


def redact(text: str) -> str:
    """A text without the parts of URLs that may be secret: user, password and query."""
    # Libraries also show addresses without their scheme and host.
    return re.sub(r"\?[^\s'\"<>)]+", "?***", re.sub(r"//[^/\s@]+@", "//***@", redact_addresses(text)))


def _is_passing(error: Exception) -> bool:
    if isinstance(error, HTTPError) and error.response is not None:
        return is_passing_status(error.response.status_code)
    # Errors of `requests` that are also ValueErrors mean an invalid URL; a wrong certificate stays wrong.
    return not isinstance(error, (ValueError, SSLError))


def _retry_after(error: Exception) -> float:
    """Seconds that the server asks to wait, or 0."""
    response = getattr(error, "response", None)
    value = response.headers.get("Retry-After", "") if response is not None else ""
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0

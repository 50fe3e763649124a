"""What the matter is when MLflow fails, in a few words, and whether to ask again at once."""

from __future__ import annotations

import http
import re
import ssl
from collections.abc import Iterator

from automl.tracking.address import redacted
from automl.tracking.content import shortened

_LONGEST = 300
_STRANGE = "what answers there is not MLflow's server"
_STATUS = re.compile(r"too many (\d{3}) error responses|failed with error code (\d{3}) != 200|^(\d{3}) (?:Client|Server) Error")
_BROKEN = ("ProtocolError", "ChunkedEncodingError", "IncompleteRead", "RemoteDisconnected")
_TIMEOUTS = ("ReadTimeoutError", "ConnectTimeoutError", "ReadTimeout", "ConnectTimeout")
_MODULES_OF_PARSERS = ("google.protobuf", "json", "simplejson", "requests.exceptions.JSONDecodeError")


class StrangeAnswerError(Exception):
    """An answer that looks like one of MLflow's and lacks what it must have."""


def reason(error: BaseException) -> str:
    """What the matter is, in one line without a full stop and without secrets: the cause, not what each layer above it made of it."""
    status = _status(error)
    if status:
        return f"it answers {status}{_phrase(status)}"
    chain = list(_chain(error))
    if any(type(each).__name__ in _TIMEOUTS for each in chain):
        return "it does not answer in time"
    for each in reversed(chain):
        if isinstance(each, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({each.verify_message})"
        if isinstance(each, OSError) and each.errno is not None and each.strerror:
            return redacted(each.strerror.lower())
    if _is_strange(error, chain):
        return _STRANGE
    if any(type(each).__name__ in _BROKEN for each in chain):
        return "the connection broke off"
    return _of_a_database(chain) or _first_line(error)


def is_passing(error: BaseException) -> bool:
    """Whether asking again at once may help: the server is there, but answered badly, or its answer did not come through."""
    status = _status(error)
    if status:
        return status == 429 or status >= 500
    chain = list(_chain(error))
    return _is_strange(error, chain) or any(type(each).__name__ in _BROKEN for each in chain)


def is_timeout(error: BaseException) -> bool:
    """Whether no answer came in time, so that the request may have been carried out all the same."""
    return any(type(each).__name__ in _TIMEOUTS for each in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from; errors that others hold as their arguments or reasons are among them."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__ or each.__context__, getattr(each, "reason", None), *each.args]


def _status(error: BaseException) -> int:
    """The status of an answer that was no success; 0 where that is not the matter."""
    found = _STATUS.search(str(error))
    return int(next(filter(None, found.groups()))) if found else 0


def _phrase(status: int) -> str:
    try:
        return f" ({http.HTTPStatus(status).phrase.lower()})"
    except ValueError:
        return ""


def _is_strange(error: BaseException, chain: list[BaseException]) -> bool:
    return "not in a valid JSON format" in str(error) or any(
        isinstance(each, StrangeAnswerError) or type(each).__module__.startswith(_MODULES_OF_PARSERS) for each in chain
    )


def _of_a_database(chain: list[BaseException]) -> str:
    """The words of the database itself; empty where it is not its error."""
    words = next((str(each) for each in reversed(chain) if type(each).__module__ == "sqlite3"), "")
    if "is locked" in words:
        return "another process has locked the database"
    return words.rstrip(".")


def _first_line(error: BaseException) -> str:
    words = str(error).strip().splitlines() or [type(error).__name__]
    return shortened(redacted(words[0]), _LONGEST).rstrip(".")

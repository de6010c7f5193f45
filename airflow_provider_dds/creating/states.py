"""The create as a state machine: its states, what can be seen, and one table of what follows.

Every state meets every observation in ``TABLE``, or in ``NEVER_SEEN``, with no hole; a test walks both. How what was
seen is told from answers is ``evidence.py`` and ``backup.py``; who executes the steps is the operator.
"""

from __future__ import annotations

from enum import Enum
from itertools import product
from typing import NamedTuple


class State(str, Enum):
    """How far a create is."""

    READY = "ready"
    """No request is in doubt: one may be sent."""
    IN_DOUBT = "in_doubt"
    """A request may have been accepted: its job is looked for, and none is sent."""
    SEARCHED = "searched"
    """It was looked for long enough without a candidate: another may be sent. It stays in doubt: it may yet show."""
    CREATED = "created"
    """The job is known."""


class Next(Enum):
    """What is to be done next."""

    WAIT = "poll again later"
    SEND = "send a request"
    LEARN = "the job is known"
    FAIL = "it cannot go on"


class Seen(Enum):
    """What a poll or a request has shown."""

    POLL_FAILED = "a poll failed for a reason that passes"
    POLL_DENIED = "a poll failed for a reason that stays"
    TOO_LATE = "the deadline has passed"
    OWN_BACKUP_RUNS = "the backup from before the clear still runs"
    NO_OWN_BACKUP_RUNS = "no backup from before the clear runs, or none is surely its own"
    INSTANCE_GONE = "the instance is in a state that no wait ends"
    INSTANCE_OCCUPIED = "a backup runs on the instance, or it is not Running"
    BACKUP_TO_ADOPT = "a backup runs that is to be adopted"
    INSTANCE_FREE = "the instance can take a backup"
    BACKOFF = "nothing shows, but the last request was refused a moment ago"
    ONE_CANDIDATE = "one job can come from the request in doubt, and nothing else can"
    SEVERAL_CANDIDATES = "which of several it is, or what its job id is, cannot be told"
    CANDIDATE_UNDER_WAY = "a candidate without a job id may yet show one"
    NO_CANDIDATE_YET = "nothing can come from the request in doubt, but not for long enough"
    NO_CANDIDATE = "nothing can come from it, for long enough"
    REQUEST_DUE = "a request is about to be sent"
    ACCEPTED = "the request was answered with a job id"
    NO_ANSWER = "the request may have been accepted"
    REFUSED = "the request certainly was not executed, for a reason that passes"
    REFUSED_AS_OCCUPIED = "the same, since a backup runs or another task occupies the instance"
    REFUSED_FOR_GOOD = "the request certainly was not executed, for a reason that stays"


class Move(NamedTuple):
    """What follows: the state, and the step to execute."""

    state: State
    next: Next


_WAIT, _SEND, _LEARN, _FAIL = Next.WAIT, Next.SEND, Next.LEARN, Next.FAIL
_READY, _IN_DOUBT, _SEARCHED, _CREATED = State.READY, State.IN_DOUBT, State.SEARCHED, State.CREATED

TABLE: dict[tuple[State, Seen], Move] = {
    # No request is in doubt.
    (_READY, Seen.POLL_FAILED): Move(_READY, _WAIT),
    (_READY, Seen.POLL_DENIED): Move(_READY, _FAIL),
    (_READY, Seen.TOO_LATE): Move(_READY, _FAIL),
    (_READY, Seen.OWN_BACKUP_RUNS): Move(_CREATED, _LEARN),
    (_READY, Seen.NO_OWN_BACKUP_RUNS): Move(_READY, _SEND),
    (_READY, Seen.INSTANCE_GONE): Move(_READY, _FAIL),
    (_READY, Seen.INSTANCE_OCCUPIED): Move(_READY, _WAIT),
    (_READY, Seen.BACKUP_TO_ADOPT): Move(_CREATED, _LEARN),
    (_READY, Seen.INSTANCE_FREE): Move(_READY, _SEND),
    (_READY, Seen.BACKOFF): Move(_READY, _WAIT),
    (_READY, Seen.REQUEST_DUE): Move(_IN_DOUBT, _SEND),  # kept before it is sent: the worker may die right after it
    (_READY, Seen.ACCEPTED): Move(_CREATED, _LEARN),
    (_READY, Seen.NO_ANSWER): Move(_IN_DOUBT, _WAIT),
    (_READY, Seen.REFUSED): Move(_READY, _WAIT),
    (_READY, Seen.REFUSED_AS_OCCUPIED): Move(_READY, _WAIT),
    (_READY, Seen.REFUSED_FOR_GOOD): Move(_READY, _FAIL),
    # Reconcile: CreateBackup takes no idempotency token, so only what the service shows can settle what became of it.
    (_IN_DOUBT, Seen.POLL_FAILED): Move(_IN_DOUBT, _WAIT),
    (_IN_DOUBT, Seen.POLL_DENIED): Move(_IN_DOUBT, _FAIL),
    (_IN_DOUBT, Seen.TOO_LATE): Move(_IN_DOUBT, _FAIL),
    (_IN_DOUBT, Seen.BACKOFF): Move(_IN_DOUBT, _WAIT),
    (_IN_DOUBT, Seen.ONE_CANDIDATE): Move(_CREATED, _LEARN),
    (_IN_DOUBT, Seen.SEVERAL_CANDIDATES): Move(_IN_DOUBT, _FAIL),
    (_IN_DOUBT, Seen.CANDIDATE_UNDER_WAY): Move(_IN_DOUBT, _WAIT),
    (_IN_DOUBT, Seen.NO_CANDIDATE_YET): Move(_IN_DOUBT, _WAIT),
    (_IN_DOUBT, Seen.NO_CANDIDATE): Move(_SEARCHED, _SEND),
    # The same once more: an earlier request may still show, so every poll looks for it before another is sent.
    (_SEARCHED, Seen.POLL_FAILED): Move(_SEARCHED, _WAIT),
    (_SEARCHED, Seen.POLL_DENIED): Move(_SEARCHED, _FAIL),
    (_SEARCHED, Seen.TOO_LATE): Move(_SEARCHED, _FAIL),
    (_SEARCHED, Seen.BACKOFF): Move(_SEARCHED, _WAIT),
    (_SEARCHED, Seen.ONE_CANDIDATE): Move(_CREATED, _LEARN),
    (_SEARCHED, Seen.SEVERAL_CANDIDATES): Move(_SEARCHED, _FAIL),
    (_SEARCHED, Seen.CANDIDATE_UNDER_WAY): Move(_SEARCHED, _WAIT),
    (_SEARCHED, Seen.NO_CANDIDATE_YET): Move(_SEARCHED, _WAIT),
    (_SEARCHED, Seen.NO_CANDIDATE): Move(_SEARCHED, _SEND),
    (_SEARCHED, Seen.REQUEST_DUE): Move(_IN_DOUBT, _SEND),
    (_SEARCHED, Seen.ACCEPTED): Move(_CREATED, _LEARN),
    (_SEARCHED, Seen.NO_ANSWER): Move(_IN_DOUBT, _WAIT),
    (_SEARCHED, Seen.REFUSED): Move(_SEARCHED, _WAIT),
    (_SEARCHED, Seen.REFUSED_AS_OCCUPIED): Move(_IN_DOUBT, _WAIT),  # what occupies it may be the backup in doubt
    (_SEARCHED, Seen.REFUSED_FOR_GOOD): Move(_SEARCHED, _FAIL),
}
"""State, and what was seen -> state, and next step. What a request shows stands with the state before that request."""

OF_INSTANCE = frozenset(
    {
        Seen.OWN_BACKUP_RUNS,
        Seen.NO_OWN_BACKUP_RUNS,
        Seen.INSTANCE_GONE,
        Seen.INSTANCE_OCCUPIED,
        Seen.BACKUP_TO_ADOPT,
        Seen.INSTANCE_FREE,
    }
)
"""What is polled for only while no request is in doubt."""
OF_EVIDENCE = frozenset(
    {
        Seen.ONE_CANDIDATE,
        Seen.SEVERAL_CANDIDATES,
        Seen.CANDIDATE_UNDER_WAY,
        Seen.NO_CANDIDATE_YET,
        Seen.NO_CANDIDATE,
    }
)
"""What is polled for only while a request is in doubt."""
OF_REQUEST = frozenset(
    {
        Seen.REQUEST_DUE,
        Seen.ACCEPTED,
        Seen.NO_ANSWER,
        Seen.REFUSED,
        Seen.REFUSED_AS_OCCUPIED,
        Seen.REFUSED_FOR_GOOD,
    }
)
"""What only a request shows: none is sent while the one before is still looked for."""
NEVER_SEEN = frozenset(
    {
        *product([_READY], OF_EVIDENCE),
        *product([_IN_DOUBT], OF_INSTANCE | OF_REQUEST),
        *product([_SEARCHED], OF_INSTANCE),
        *product([_CREATED], Seen),  # nothing is asked any more
    }
)
"""What cannot be seen in a state, since nothing asks for it there."""

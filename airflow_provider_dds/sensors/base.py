"""What sensors share: from one wait, all modes of Airflow's sensors."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
)

from airflow_provider_dds.compat import first_poll_at, forget_result
from airflow_provider_dds.exceptions import DdsError, DdsSensorTimeoutError, DdsTimeoutError
from airflow_provider_dds.links.dds import DdsInstanceLink
from airflow_provider_dds.sensors import start
from airflow_provider_dds.tasks import DdsTask
from airflow_provider_dds.triggers.deferral import NoEvent, as_taken_up, end_without_event
from airflow_provider_dds.waiting import watch
from airflow_provider_dds.waiting.records import UnreadableError
from airflow_provider_dds.waiting.result import Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_dds.clock import Clock
    from airflow_provider_dds.hooks.dds import DdsHook
    from airflow_provider_dds.triggers.base import WaitTrigger
    from airflow_provider_dds.triggers.start import DdsBackupStartTrigger
    from airflow_provider_dds.waiting.wait import Wait


_PUT_BACK = 1.0
"""Seconds from which on a clock that is behind was put back: less are those in which it is set by small steps."""


class DdsWaitSensor(DdsTask, BaseSensorOperator):
    """Make one wait in poke, reschedule or deferrable mode.

    A subclass says what it waits for (``_make_wait``), which trigger goes on with it, and what to do about each end
    that is not good.

    :ivar deferrable: whether the wait is deferred to the triggerer.
    :ivar asks_for_trigger: whether the triggerer is to begin it.
    """

    start_from_trigger: Any = start.OfTask(False, start.starts_in_triggerer)
    start_trigger_args: Any = start.OfTask(None, start.start_trigger_args)
    trigger_class: ClassVar[type[WaitTrigger]]
    start_trigger_class: ClassVar[type[DdsBackupStartTrigger]]
    advice: ClassVar[Mapping[Outcome, str]] = {}
    deferrable: bool = False
    asks_for_trigger: bool = False
    poll_strategy: str = "progress"
    _prepared: tuple[Context, Wait[Any], DdsHook] | None = None
    _next_wait: float = 60.0
    _began: float = 0.0

    def _make_wait(self, started_at: float) -> Wait[Any]:
        """Return the wait, from the rendered arguments.

        :param started_at: epoch seconds at which it began.
        """
        raise NotImplementedError

    def _hook_apply_defaults(self, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Refuse what is given and contradicts itself: Airflow calls this before it calls the constructor."""
        start.refuse_contradiction(kwargs, kwargs.get("default_args") or {})
        return args, kwargs

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Return what ``expand`` makes a mapped sensor of. ``start_from_trigger`` is ``deferrable`` there.

        A worker begins a mapped task, but Airflow (3.3) would prepare to render its trigger all the same.

        :param kwargs: arguments that all tasks have in common.
        :return: Airflow's ``OperatorPartial``.
        """
        start.refuse_contradiction(kwargs, {})
        if kwargs.get("start_from_trigger") is True:
            del kwargs["start_from_trigger"]
            kwargs["deferrable"] = True
        return super().partial(**kwargs)

    def policy(self) -> dict[str, Any]:
        """Return what is waited for and how, as arguments of the wait, without ids and times."""
        return self.polls()

    def polls(self) -> dict[str, Any]:
        """Return how it polls, as arguments of :class:`~airflow_provider_dds.waiting.wait.Wait`."""
        return {
            "poke_interval": float(self.poke_interval),
            "max_wait": self.max_wait.total_seconds() if self.max_wait else None,
            "poll_strategy": self.poll_strategy,
            "silent_fail": bool(self.silent_fail),
        }

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Poll once. In deferrable mode a wait goes on in the triggerer, in the other modes Airflow calls this again.

        :param context: Airflow's context, one and the same for all polls of an execution.
        :return: the facts of what was waited for, or False to wait.
        :raises AirflowSensorTimeout: the deadline passed.
        :raises DdsError: it is not good, or the service refused for good.
        """
        if self._prepared is None or self._prepared[0] is not context:
            self._began = self.clock.monotonic()
            try:
                self._prepared = (context, *self._begin(context))
            except DdsError as error:
                raise self._raised(context, error) from None
        _, wait, hook = self._prepared
        clock = self._clock_of(wait)
        while True:
            linked = wait.instance is not None
            limit = max(0.0, wait.deadline - clock.now()) + watch.LAST_POLL_SECONDS
            result = watch.poll(wait, hook.run, clock, self.log, limit=limit)
            if not linked:
                self._store_link(context, hook, wait.instance)
            if result is not None:
                return PokeReturnValue(True, self._facts(context, result))
            self._next_wait = wait.next_in
            if self.deferrable:
                self._wait_in_triggerer(context, wait, hook, self.trigger_class)
            if self._keep_memory(wait, hook):
                return False
            # No store to keep the memory in: what depends on it is waited for here, at most for the two graces.
            self.clock.sleep(wait.next_in)

    def _clock_of(self, wait: Wait[Any]) -> Clock:
        """Return the clock of a wait. In poke mode Airflow ends one by a clock that never goes back, so this does, too.

        Otherwise Airflow would be first where the machine's clock is put back, with a text that names no backup.
        """
        if self.reschedule or self.deferrable:
            return self.clock
        since, began, of_machine = self._began, wait.started_at, self.clock

        def now() -> float:
            shown, steady = of_machine.now(), began + of_machine.monotonic() - since
            return steady if steady - shown > _PUT_BACK else shown

        return replace(of_machine, now=now)

    def _begin(self, context: Context) -> tuple[Wait[Any], DdsHook]:
        """Return the wait and its hook; a later process of a rescheduled try goes on with the wait of the first."""
        self._say_why_on_a_worker()
        started_at = self.clock.now()
        if self.reschedule and not self.deferrable and (first := first_poll_at(context, self.retries or 0)):
            started_at = first.timestamp()
        return self._make_wait(started_at), self.hook

    @property
    def _lasts(self) -> float:
        """The seconds from the beginning of a wait to its deadline."""
        return start.waits_for(self) if self.asks_for_trigger else float(self.timeout)

    def _say_why_on_a_worker(self) -> None:
        if self.asks_for_trigger:
            why = start.why_on_a_worker(self) or "Airflow does that with mapped tasks, airflow dags test with all"
            self.log.info("Begun on a worker in spite of start_from_trigger: %s. The wait is deferred.", why)

    def _begin_anew(self, context: Context, why: NoEvent) -> tuple[Wait[Any], DdsHook]:
        """Return the wait and its hook after a deferral that gave no event.

        :param why: why there is none.
        """
        now = self.clock.now()
        wait = self._make_wait(now - (self._lasts if why.timed_out else 0.0))
        wait.deadline = now
        return wait, self.hook

    def _keep_memory(self, wait: Wait[Any], hook: DdsHook) -> bool:
        """Keep what a rescheduled wait remembers for its next process; False where it matters and cannot be kept."""
        return True

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral, and return what the method gives.

        :param next_method: method that goes on.
        :param next_kwargs: its arguments.
        :param context: Airflow's context.
        :raises AirflowSensorTimeout: the deferral took too long, and what is waited for is not good.
        """
        if why := NoEvent.of(next_method, next_kwargs):
            next_method, next_kwargs = "execute_without_event", {"why": why}
        return super().resume_execution(next_method, next_kwargs, context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return what the trigger found, or raise what it stands for.

        :param context: Airflow's context.
        :param event: the trigger's :class:`~airflow_provider_dds.waiting.result.Result` as JSON; of a trigger that
            began the wait itself with the address of the instance's page as ``link``.
        :raises AirflowSkipException: it stands for an error, and the sensor is to ``never_fail``.
        """
        fields = dict(event) if isinstance(event, dict) else event
        begun_by_trigger = isinstance(fields, dict) and "link" in fields
        link = fields.pop("link") if begun_by_trigger else None
        try:
            result = as_taken_up(self._read_event(fields), self.clock.now())
        except UnreadableError as error:
            return self.execute_without_event(context, NoEvent.unreadable(error))
        if isinstance(link, str):
            self._write_aside("The link", partial(DdsInstanceLink.store, context, link))
        if begun_by_trigger and result.outcome is Outcome.TIMED_OUT and start.waits_for(self) < self.timeout:
            result = replace(result, text=f"{result.text} {start.limited_by_execution_timeout(self)}")
        return self._end_deferral(context, result, begun_by_trigger=begun_by_trigger)

    def _read_event(self, event: Any) -> Result:
        """Return the result that an event is.

        :raises UnreadableError: it is none, or none that this wait ends with.
        """
        return Result.from_json(event)

    def execute_without_event(self, context: Context, why: NoEvent) -> dict[str, Any]:
        """Poll once, and return the facts if it is good, where the triggerer gave no event that can be used.

        :param context: Airflow's context.
        :param why: why there is none.
        :raises AirflowSensorTimeout: it is not good, and the deferral took too long.
        :raises DdsError: it is not good.
        """
        why.tell(self.log)
        try:
            wait, hook = self._begin_anew(context, why)
            result: Result | DdsError = end_without_event(why, wait, hook, self.clock, self.execution_timeout)
            self._store_link(context, hook, wait.instance)
        except DdsError as error:
            result = error
        return self._end_deferral(context, result, begun_by_trigger=self.asks_for_trigger)

    def _end_deferral(
        self, context: Context, result: Result | DdsError, *, begun_by_trigger: bool = False
    ) -> dict[str, Any]:
        """Return the facts of a good result, or raise what it stands for.

        :param begun_by_trigger: whether no worker began this wait, so that a result of an earlier try may be left.
        """
        try:
            return self._facts(context, result)
        except (DdsError, AirflowSensorTimeout) as error:
            if begun_by_trigger:
                forget_result(context)
            if self.never_fail:  # Airflow 2 does this for no deferral, Airflow 3 for those that ended too late
                raise AirflowSkipException("Skipping due to never_fail is set to True.") from error
            raise

    def _facts(self, context: Context, result: Result | DdsError) -> dict[str, Any]:
        try:
            if isinstance(result, DdsError):
                raise result
            facts = result.facts_or_raise(self.advice)
        except DdsError as error:
            raise self._raised(context, error) from None
        self.log.info("%s", result.text)
        self._tell_outlets(context, facts)
        return facts

    def _raised(self, context: Context, error: DdsError) -> Exception:
        """Return what to raise for an error; logs one that Airflow makes a skip of without saying what it was."""
        if type(error) is DdsTimeoutError:
            error = DdsSensorTimeoutError(str(error)).with_facts(**vars(error))
        if self.never_fail or (self.soft_fail and isinstance(error, AirflowException)):
            self.log.warning("%s", error)
        else:
            self._tell_failure(context, error)
        return error

    def _get_next_poke_interval(
        self, started_at: datetime | float, run_duration: Callable[[], float], poke_count: int
    ) -> float:
        """Return the wait that the last poll led to, so that all modes space their polls alike."""
        return self._next_wait

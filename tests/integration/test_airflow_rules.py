"""What the tests play of Airflow, held against Airflow's own code on a database of its own."""

from __future__ import annotations

import uuid
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from tests.support.airflow_rules import StoreOfTry, is_retried, max_tries_after_clear
from tests.support.runner import Store
from tests.support.versions import AIRFLOW

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(
    AIRFLOW < (3, 3), reason="what the tests play are the rules of Airflow 3.3; real clears run on all (standalone)"
)
MOMENT = "2026-11-24T00:00:00Z"


@pytest.fixture(scope="module")
def tables() -> Any:
    import_module("airflow.models").import_all_models()
    engine = create_engine("sqlite://")
    import_module("airflow.models.base").Base.metadata.create_all(engine)
    return engine


@pytest.fixture
def session(tables: Any) -> Iterator[Session]:
    with Session(tables) as opened:
        yield opened
        opened.rollback()


@pytest.fixture
def stored(session: Session, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Store a task instance, and say which retries the DAG has; None: it has no such task any more."""
    models = import_module("airflow.models")
    bag = import_module("airflow.models.dagbag").DBDagBag
    timezone = import_module("airflow.providers.common.compat.sdk").timezone
    moment = timezone.parse(MOMENT)

    def store(*, state: str, try_number: int, max_tries: int, retries: int | None = 0) -> Any:
        task = SimpleNamespace(retries=retries, dag_id="gates", task_id="create")
        dag = SimpleNamespace(has_task=lambda _: retries is not None, get_task=lambda _: task)
        monkeypatch.setattr(bag, "get_dag_for_run", lambda *_, **__: dag)
        monkeypatch.setattr(bag, "get_latest_version_of_dag", lambda *_, **__: dag)
        monkeypatch.setattr(models.TaskInstance, "refresh_from_task", lambda ti, task, **_: setattr(ti, "task", task))
        bundle = import_module("airflow.models.dagbundle").DagBundleModel(name="bundle")
        session.add(bundle)
        session.add(models.DagModel(dag_id="gates", bundle_name="bundle", fileloc="gates.py"))
        run = models.DagRun(dag_id="gates", run_id="run", run_type="manual", state="success", run_after=moment)
        session.add(run)
        session.flush()
        ti = models.TaskInstance(task, dag_version_id=None, run_id="run", state=state)
        ti.try_number, ti.max_tries, ti.pool, ti.pool_slots, ti.executor_config = try_number, max_tries, "pool", 1, {}
        session.add(ti)
        session.flush()
        return ti

    return store


@pytest.mark.parametrize("retries", [None, 0, 1, 3])
@pytest.mark.parametrize(("max_tries", "try_number"), [(0, 1), (1, 1), (1, 2), (3, 2), (3, 4), (7, 5)])
def test_clear_sets_max_tries(session, stored, max_tries, try_number, retries):
    clear = import_module("airflow.models.taskinstance").clear_task_instances
    ti = stored(state="failed", try_number=try_number, max_tries=max_tries, retries=retries)
    before = ti.id
    clear([ti], session, dag_run_state=False)
    assert ti.max_tries == max_tries_after_clear(max_tries, try_number, retries)
    assert ti.try_number == try_number
    assert ti.id != before


def test_clear_of_a_running_task_looks_like_a_retry(session, stored):
    clear = import_module("airflow.models.taskinstance").clear_task_instances
    ti = stored(state="running", try_number=1, max_tries=2, retries=0)
    clear([ti], session, dag_run_state=False)
    assert (ti.state, ti.max_tries) == ("restarting", 2)


@pytest.mark.parametrize("try_number", range(1, 5))
@pytest.mark.parametrize("max_tries", range(4))
def test_retry_follows_a_failure(max_tries, try_number):
    routes = import_module("airflow.api_fastapi.execution_api.routes.task_instances")
    assert is_retried(max_tries, try_number) == routes._is_eligible_to_retry("running", try_number, max_tries)


class Comms:
    """A supervisor that asks Airflow's own routes for the store, by way of its own client."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.routes = import_module("airflow.api_fastapi.execution_api.routes.task_state_store")
        self.comms = import_module("airflow.sdk.execution_time.comms")
        client = import_module("airflow.sdk.api.client")
        self.client = client.Client(
            base_url="http://api.invalid", token="none", dry_run=False, transport=httpx.MockTransport(self.answer)
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        from fastapi import HTTPException

        _, ti_id, key = request.url.path.rsplit("/", 2)
        try:
            if request.method == "GET":
                found = self.routes.get_task_state_store(uuid.UUID(ti_id), key, self.session)
                return httpx.Response(200, text=found.model_dump_json())
            datamodels = import_module("airflow.api_fastapi.execution_api.datamodels.task_state_store")
            body = datamodels.TaskStateStorePutBody.model_validate_json(request.content)
            self.routes.set_task_state_store(uuid.UUID(ti_id), key, body, self.session)
        except HTTPException as error:
            return httpx.Response(error.status_code, json={"detail": error.detail})
        return httpx.Response(204)

    def send(self, msg: Any) -> Any:
        client = import_module("airflow.sdk.api.client")
        exceptions = import_module("airflow.sdk.exceptions")
        try:
            if isinstance(msg, self.comms.GetTaskStateStore):
                found = self.client.task_state_store.get(msg.ti_id, msg.key)
                if isinstance(found, self.comms.ErrorResponse):
                    return found
                return self.comms.TaskStateStoreResult.from_task_state_store_response(found)
            return self.client.task_state_store.set(msg.ti_id, msg.key, msg.value, expires_at=msg.expires_at)
        except client.ServerResponseError as error:  # as the supervisor's loop does
            said = {"status_code": error.response.status_code, "message": str(error)}
            failed = self.comms.ErrorResponse(error=exceptions.ErrorType.API_SERVER_ERROR, detail=said)
            raise exceptions.AirflowRuntimeError(failed) from None


def test_try_that_another_has_taken_over_from_finds_nothing_and_writes_nothing(session, stored, monkeypatch):
    ti = stored(state="running", try_number=1, max_tries=2)
    monkeypatch.setattr(
        import_module("airflow.sdk.execution_time.task_runner"), "SUPERVISOR_COMMS", Comms(session), raising=False
    )
    accessor = import_module("airflow.sdk.execution_time.context").TaskStateStoreAccessor
    scope = import_module("airflow.sdk.state").TaskScope(dag_id="gates", run_id="run", task_id="create", map_index=-1)
    superseded = False
    shared = Store()
    for first in (accessor(ti.id, scope), StoreOfTry(shared, lambda: superseded)):
        first.set("key", {"job": "1"})
        assert first.get("key") == {"job": "1"}
    old_id, superseded = ti.id, True
    ti.prepare_db_for_next_try(session)
    session.flush()
    assert accessor(ti.id, scope).get("key") == shared.get("key") == {"job": "1"}
    for old in (accessor(old_id, scope), StoreOfTry(shared, lambda: superseded)):
        assert old.get("key") is None
        with pytest.raises(import_module("airflow.sdk.exceptions").AirflowRuntimeError, match="404"):
            old.set("key", {"job": "2"})


def test_second_delivery_of_a_try_that_runs_is_refused(session, stored):
    from fastapi import HTTPException, Response

    routes = import_module("airflow.api_fastapi.execution_api.routes.task_instances")
    datamodels = import_module("airflow.api_fastapi.execution_api.datamodels.taskinstance")
    ti = stored(state="running", try_number=1, max_tries=2)
    again = datamodels.TIEnterRunningPayload(
        state="running", hostname="another", unixname="worker", pid=2, start_date=MOMENT
    )
    with pytest.raises(HTTPException) as refused:
        routes.ti_run(ti.id, again, Response(), session, None)
    assert (refused.value.status_code, refused.value.detail["reason"]) == (409, "invalid_state")

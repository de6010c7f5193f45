"""A small client for Airflow's REST API, with the waiting that a test or a demo needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from dev.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

Json = dict[str, Any]

RUN_ENDED = ("success", "failed")


class AirflowApi:
    """The API of one Airflow at ``url``; logs in on first use."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._login = {"username": user, "password": password}
        self._http = httpx.Client(base_url=url, timeout=90, trust_env=False)

    def __enter__(self) -> AirflowApi:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Send one request and return the JSON of the answer (None when it is empty).

        :raises httpx.HTTPStatusError: with the answer's text
        """
        if "Authorization" not in self._http.headers:
            answer = self._http.post("/auth/token", json=self._login)
            answer.raise_for_status()
            self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        answer = self._http.request(method, path, **options)
        if answer.is_error:
            message = f"{method} {path}: HTTP {answer.status_code}: {answer.text[:1000]}"
            raise httpx.HTTPStatusError(message, request=answer.request, response=answer)
        return answer.json() if answer.content else None

    def health(self) -> dict[str, str | None]:
        """Return the state of each component; all of them None while the server does not answer."""
        try:
            answer = self._http.get("/api/v2/monitor/health", timeout=5).json()
        except (httpx.TransportError, ValueError):
            answer = {}
        roles = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        return {role: (answer.get(role) or {}).get("status") for role in roles}

    # ------------------------------------------------------------------ DAGs and their runs

    def import_errors(self) -> list[Json]:
        """Return the errors of DAG files that could not be imported."""
        return self.request("GET", "/api/v2/importErrors")["import_errors"]

    def has_dag(self, dag_id: str) -> bool:
        """Say whether the DAG has been read; a DAG file that cannot be imported is an error here.

        :raises RuntimeError: with the stack trace of the import
        """
        if errors := self.import_errors():
            raise RuntimeError("\n".join(error["stack_trace"] for error in errors))
        dags = self.request("GET", "/api/v2/dags", params={"limit": 100, "exclude_stale": False})["dags"]
        return any(dag["dag_id"] == dag_id for dag in dags)

    def start(self, dag_id: str, conf: Json | None = None) -> str:
        """Wait until the DAG is known, unpause it, start a run, and return the run's id."""
        wait_for(lambda: self.has_dag(dag_id), f"the DAG {dag_id} to be read", timeout=60)
        self.request("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": False})
        body = {"logical_date": None, "conf": conf or {}}
        return self.request("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body)["dag_run_id"]

    def run(self, dag_id: str, run_id: str) -> Json:
        """Return a DAG run."""
        return self.request("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")

    def wait_for_run(
        self, dag_id: str, run_id: str, *, timeout: float, on_look: Callable[[], None] = lambda: None
    ) -> str:
        """Wait for the end of a DAG run and return its state.

        :param on_look: called at each poll, to show progress
        """

        def look() -> str:
            on_look()
            return self.run(dag_id, run_id)["state"]

        return wait_for(look, f"{dag_id} {run_id} to end", until=RUN_ENDED.__contains__, timeout=timeout)

    # ------------------------------------------------------------------ task instances

    def tasks(self, dag_id: str, run_id: str) -> list[Json]:
        """Return the task instances of a run, mapped ones too."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        return self.request("GET", path, params={"limit": 100})["task_instances"]

    def task(self, dag_id: str, run_id: str, task_id: str) -> Json:
        """Return one task instance that is not mapped."""
        return self.request("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}")

    def wait_for_task(self, dag_id: str, run_id: str, task_id: str, state: str, *, timeout: float) -> Json:
        """Wait until a task instance is in ``state``."""
        return wait_for(
            lambda: self.task(dag_id, run_id, task_id),
            f"{dag_id}.{task_id} to be {state}",
            until=lambda task: task["state"] == state,
            timeout=timeout,
        )

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Return the value of an XCom as it is stored: ``deserialize`` would make a number of "775051"."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.request("GET", path, params={"map_index": map_index})["value"]

    def links(self, dag_id: str, run_id: str, task_id: str) -> dict[str, str | None]:
        """Return the extra links of a task, by their names."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/links"
        return dict(self.request("GET", path)["extra_links"])

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> list[str]:
        """Return the lines of a task's log, as the UI shows them."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        params = {"map_index": map_index, "full_content": True}
        answer = self.request("GET", path, params=params, headers={"Accept": "application/json"})
        return list(_log_lines(answer["content"]))

    def clear(self, dag_id: str, run_id: str, task_ids: list[str], *, downstream: bool = False) -> None:
        """Clear task instances, so that they run again."""
        body = {"dag_run_id": run_id, "task_ids": task_ids, "include_downstream": downstream}
        self.request(
            "POST", f"/api/v2/dags/{dag_id}/clearTaskInstances", json={**body, "dry_run": False, "only_failed": False}
        )

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Mark a task instance as ``success``, ``failed`` or ``skipped``."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        self.request("PATCH", path, json={"new_state": state})

    # ------------------------------------------------------------------ connections

    def create_connection(self, connection: Json) -> Json:
        """Store a connection; the keys are those of the API (``connection_id``, ``conn_type``, ...)."""
        return self.request("POST", "/api/v2/connections", json=connection)

    def connection(self, connection_id: str) -> Json:
        """Return a stored connection, its secrets masked."""
        return self.request("GET", f"/api/v2/connections/{connection_id}")

    def delete_connection(self, connection_id: str) -> None:
        """Delete a stored connection."""
        self.request("DELETE", f"/api/v2/connections/{connection_id}")

    def test_connection(self, connection: Json) -> tuple[bool, str]:
        """Do what the UI's test button does, and return what it shows."""
        answer = self.request("POST", "/api/v2/connections/test", json=connection)
        return answer["status"], answer["message"]

    def connection_form(self, conn_type: str) -> Json:
        """Return what the UI builds the connection form of a type from."""
        types = self.request("GET", "/ui/connections/hook_meta")
        return next(form for form in types if form["connection_type"] == conn_type)


def _log_lines(content: Any) -> Iterator[str]:
    for entry in content:
        if not isinstance(entry, dict):
            yield str(entry)
            continue
        stamp = f"[{entry['timestamp']}] " if entry.get("timestamp") else ""
        yield f"{stamp}{(entry.get('level') or '').upper():<7} {entry.get('event')}"
        for cause in entry.get("error_detail") or []:
            yield f"        {cause.get('exc_type')}: {cause.get('exc_value')}"

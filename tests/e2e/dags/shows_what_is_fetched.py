"""A task whose trigger writes a fetched credential to its log."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG
from loud import LoudOperator

with DAG("shows_what_is_fetched", schedule=None, params={"conn_id": "dds_default", "uri": ""}):
    LoudOperator(task_id="loud", conn_id="{{ params.conn_id }}", uri="{{ params.uri }}")

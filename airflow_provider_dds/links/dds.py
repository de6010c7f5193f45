"""Link from a task to its instance in the console of ApsaraDB for MongoDB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context, TaskInstanceKey

INSTANCE_XCOM = "dds_instance_console"


class DdsInstanceLink(BaseOperatorLink):
    """The instance's page in the console, where its backups are."""

    name = "ApsaraDB for MongoDB console"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address that the task has stored, empty before its first poll.

        :param operator: the task.
        :param ti_key: the task instance.
        :return: the address.
        """
        return str(XCom.get_value(key=INSTANCE_XCOM, ti_key=ti_key) or "")

    @staticmethod
    def store(context: Context, url: str) -> None:
        """Store the address where :meth:`get_link` finds it on every version of Airflow.

        :param context: Airflow's context.
        :param url: the address.
        """
        ti: Any = context["ti"]
        ti.xcom_push(key=INSTANCE_XCOM, value=url)

"""Apache Airflow provider for backups of ApsaraDB for MongoDB (Alibaba Cloud "dds")."""

from __future__ import annotations

__version__ = "0.1.0"

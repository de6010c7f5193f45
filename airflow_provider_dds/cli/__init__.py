"""The command line: ``airflow dds ...``, and ``python -m airflow_provider_dds ...`` before Airflow 3.2 and anywhere."""

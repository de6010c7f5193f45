"""The hook: an Airflow connection in, typed answers of the API out."""

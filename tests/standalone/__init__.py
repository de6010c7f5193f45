"""Tasks, workers and triggerers of a real Airflow that are killed, marked and cleared while they work."""

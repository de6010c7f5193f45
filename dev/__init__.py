"""Scripts for people who work on this package: set-up, a scratch Airflow to try it on, and the demo."""

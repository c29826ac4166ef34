"""Running Candor on one machine: the environment of Airflow, its services, the first run."""

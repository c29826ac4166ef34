.DEFAULT_GOAL := help
PY := .venv/bin/python
# One test process more than there are cores: each waits for disks and servers about a quarter of its time.
TESTERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
DATA ?= crypto
PEOPLE ?= 5000
DAYS ?= 60
SEED ?= 7
BENCH_PEOPLE ?= 10000 100000 1000000
export DBT_USE_COLORS := 0

.PHONY: help setup run test check types sql-style fix unit dbt-test up down bench bench-faults replay ablation golden clean

help:  ## every target
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{printf "  make %-14s %s\n", $$1, $$2}'

.venv/.installed: requirements.txt pyproject.toml
	@echo "setting up .venv (two to three minutes the first time)"
	@test -x .venv/bin/python || python3.11 -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@.venv/bin/python -c "import lightgbm" 2>/dev/null || { echo "LightGBM cannot load; on Debian: apt-get install libgomp1"; exit 1; }
	@touch $@

setup: .venv/.installed  ## the virtual environment, from the lock file

run: setup  ## one day end to end under Airflow: DATA=crypto (PEOPLE=5000 DAYS=60 SEED=7) or DATA=complete-journey
	@$(PY) -m ops.first_run --data $(DATA) --people $(PEOPLE) --days $(DAYS) --seed $(SEED)

test: check  ## everything CI runs: checks, then tests on every core; changes no file
	@$(PY) -m pytest tests -n $(TESTERS) --dist loadfile --no-loadscope-reorder --durations=30 --durations-min=5

check: setup  ## formatting, lint, types, SQL style: looks, never touches
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/ruff check --quiet .
	@$(MAKE) --no-print-directory --jobs 2 --output-sync types sql-style

types: setup
	@.venv/bin/mypy

sql-style: setup
	@.venv/bin/sqlfluff lint --disable-progress-bar --nocolor dbt_project/models

fix: setup  ## format and auto-fix
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

dbt-test: setup  ## dbt's unit tests of SQL
	@$(PY) -m pytest tests/models

unit: setup  ## the quick tests of Python code
	@$(PY) -m pytest tests/unit -n $(TESTERS) --dist loadfile --no-loadscope-reorder

up: setup  ## Airflow and MLflow on 127.0.0.1; prints their addresses and, once, the login
	@$(PY) -m ops.services up

down:  ## stop both
	@$(PY) -m ops.services down

bench: setup  ## stage times at growing numbers of people: BENCH_PEOPLE="10000 100000 1000000"
	@$(PY) -m benchmarks.stages --people $(BENCH_PEOPLE) --one-day-from 1000000 --resume

bench-faults: setup  ## kill every stage at random instants and compare the bytes with an undisturbed run
	@$(PY) -m benchmarks.faults

replay: setup  ## nightly: 60 days in a closed loop, every live row judged by the truth, then leaks planted (PEOPLE=5000 DAYS=60 SEED=7 RESUME=1)
	@$(if $(RESUME),,rm -rf var/replay)
	@$(PY) -m benchmarks.replay --people $(PEOPLE) --days $(DAYS) --seed $(SEED) --folder var/replay --resume --leak all

ablation: setup  ## what cleaning bought: one day decided again with less, judged with the planted truth (PEOPLE=5000 SEED=7)
	@$(PY) -m benchmarks.ablation --people $(PEOPLE) --seed $(SEED)

clean:  ## remove everything generated (var/), but not .venv
	@rm -rf var

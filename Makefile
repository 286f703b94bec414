# Everything a newcomer needs is `make demo` and `make test`. The work is done by scripts/ and by the `lrm` program.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-unit tiny lint lock clean
ARGS ?=

help:
	@echo "make demo     set up, then run the whole loop in simulation and write out/demo/latest/report.html"
	@echo "make test     set up, then run the whole test suite"
	@echo "make setup    environment and workspace alone (again only what changed)"
	@echo "make test-unit  the tests without ROS 2, under a minute"
	@echo "make tiny     train the tiny reward model from nothing into out/tiny/model (about 75 minutes on two cores)"
	@echo "make lint     ruff and mypy"
	@echo "make lock     write requirements.lock from pyproject.toml (UPGRADE=1: newest versions)"
	@echo "make clean    remove the environment and all builds; out/ stays"
	@echo "ARGS are handed on:  make demo ARGS='--seed 3'   make test ARGS='-k reward'"
	@echo "Afterwards: scripts/run lrm --help"

setup:
	@scripts/setup

demo: setup
	@scripts/run lrm demo $(ARGS)

# Tests of logic and files side by side; those of processes that talk and keep time one after the other.
test: setup
ifeq ($(strip $(ARGS)),)
	@scripts/run pytest tests/unit tests/contract -n 2
	@scripts/run pytest tests/ros tests/system
else
	@scripts/run pytest $(ARGS)
endif

test-unit: setup
	@scripts/run pytest tests/unit $(ARGS)

tiny: setup
	@scripts/run python scripts/make_tiny.py $(ARGS)

lint: setup
	@scripts/run ruff check .
	@scripts/run mypy

lock: setup
	@scripts/run uv pip compile --quiet --python-version 3.12 --no-header --no-annotate $(if $(UPGRADE),--upgrade) \
	  --group pyproject.toml:ros --group pyproject.toml:build --group pyproject.toml:dev pyproject.toml -o requirements.lock

clean:
	rm -rf .venv .cache build install log
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

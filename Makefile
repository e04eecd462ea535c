# Everything a person does with this repository; `make help` lists it.
PYTHON ?=
VENV := .venv/bin
# Where a broker can be given instead of an installed one: the tests have a variable of their own.
BROKER_VARIABLE := SPARTOO_SYNC_AMQP_URL

.DEFAULT_GOAL := help
.PHONY: help setup demo test screenshots bench chaos fuzz mutants check fix lock audit clean venv broker chromium checkers

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST)

setup: venv broker ## .venv with the locked packages, and RabbitMQ from the distribution

demo: setup ## the whole pipeline against a simulated marketplace; SECONDS=30 ends it by itself
	@$(VENV)/spartoo-sync demo $(if $(SECONDS),--seconds $(SECONDS))

test: BROKER_VARIABLE := SPARTOO_SYNC_TEST_AMQP_URL
test: setup chromium checkers check ## check, then every test
	$(VENV)/pytest --numprocesses 2 --dist worksteal

screenshots: setup chromium ## pictures of the console's pages, in .cache/screenshots
	$(VENV)/pytest --quiet tests/browser/screenshots.py

bench: BROKER_VARIABLE := SPARTOO_SYNC_TEST_AMQP_URL
bench: setup ## measure, with processes of its own; ONLY="ingest growth" are some; NEW=20000 … as each file says
	$(VENV)/pytest --quiet --capture=no $(or $(ONLY:%=tests/bench/test_%.py),tests/bench)

chaos: setup ## crashes and faults on a whole system; MINUTES=10 (half with one daemon, half with three) or KILLS=1000, SEED=1
	$(VENV)/pytest --quiet --capture=no --show-capture=no tests/chaos

fuzz: venv ## coverage-guided, RUNS=1000000 inputs in all; TARGETS="commands core" are some of them
	@deploy/dev/fuzz.sh $(or $(RUNS),100000) $(TARGETS)

mutants: setup ## change the program a little, many times; ONLY="core relay" are some parts, SAMPLE=200 SEED=1 some changes
	@deploy/dev/mutants.sh $(ONLY)

check: venv ## lint, format, types, direction of imports, dependencies; changes nothing
	$(VENV)/ruff check
	$(VENV)/ruff format --check
	$(VENV)/mypy
	$(VENV)/lint-imports
	$(VENV)/python deploy/dev/dependencies.py

fix: venv ## mend what the linter and the formatter can
	$(VENV)/ruff check --fix
	$(VENV)/ruff format

lock: ## bring the locks in deploy/ in line with pyproject.toml
	@PYTHON="$(PYTHON)" deploy/dev/lock.sh

audit: ## ask the advisory database about every locked package; needs the network
	@PYTHON="$(PYTHON)" deploy/dev/audit.sh

clean: ## remove .venv and every cache
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

venv:
	@PYTHON="$(PYTHON)" deploy/dev/venv.sh

broker:
	@deploy/dev/rabbitmq.sh $(BROKER_VARIABLE)

chromium:
	@deploy/dev/chromium.sh

checkers:
	@deploy/dev/checkers.sh

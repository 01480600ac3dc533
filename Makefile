# What people do with this tree. Each target first makes what it needs (.ci/setup), says so, and is quick when nothing is to be made.

BIN := .venv/bin
export PYTHON
# Most tests wait for something most of the time, so there are more of them at once than a small machine has cores; a file's stay together.
parallel = --numprocesses 3 --dist loadfile
check = @echo "• Style …" && $(BIN)/ruff check . && echo "• Types …" && $(BIN)/mypy

# The default: a line for each target, taken from the comments behind their names.
help: ## print this
	@sed -n 's/^\([a-z-]*\):.*## /    make \1\t/p' Makefile | expand -t 24

demo: ## the whole gateway on virtual sensors, no hardware; Ctrl-C ends it, or SECONDS=60
	@.ci/setup run
	@exec $(BIN)/edgegw demo $(if $(SECONDS),--seconds $(SECONDS))

test: ## style, types and every test; T=tests/test_codec.py (or any pytest arguments) runs only that
	@.ci/setup test
	@.ci/programs
	$(if $(T),,$(check))
	@echo "• Tests …"
	@exec $(BIN)/pytest $(or $(T),$(parallel))

proof: ## the tests that last, in their long form: a minute of load, servers away for 20 s each, a minute of IMU at 1 kHz
	@.ci/setup test
	@.ci/programs
	@EDGEGW_LOAD_S=60 exec $(BIN)/pytest tests/processes/test_gateway.py tests/workers/test_mpu6050_umockdev.py --timeout 900

chaos: ## a gateway under load, random faults, and the proof that nothing is lost: PLAN=walk|kills|servers SEED=7 MINUTES=10 EACH=100
	@.ci/setup test
	@.ci/programs
	@exec $(BIN)/python -m tests.chaos $(if $(PLAN),--plan $(PLAN)) $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) \
		$(if $(EACH),--each $(EACH))

chaos-all: ## every test that has a long form, in that form, one after the other: some hours; ONLY="kills servers" runs these
	@.ci/setup test
	@.ci/programs
	@exec $(BIN)/python -m tests.chaos.every $(if $(SEED),--seed $(SEED)) $(ONLY)

bench: ## what the gateway costs at rest, CPU and memory of every process; and what an IMU costs by rate and mode
	@.ci/setup test
	@.ci/programs
	@$(BIN)/python -m tests.benchmarks.rest
	@$(BIN)/python -m tests.benchmarks.measure
	@$(BIN)/python -m tests.benchmarks.detect
	@$(BIN)/python -m tests.benchmarks.ring
	@$(BIN)/python -m tests.benchmarks.eyes
	@$(BIN)/python -m tests.benchmarks.scene
	@$(BIN)/python -m tests.benchmarks.tracking
	@exec $(BIN)/python -m tests.benchmarks.fifo

lint: ## style and types only
	@.ci/setup test
	$(check)

test-lowest: ## the tests with the oldest versions of everything that setup.cfg allows
	@.ci/setup lowest
	@.ci/programs
	@echo "• Tests, with the oldest versions …"
	@exec .venv-lowest/bin/pytest -W default $(or $(T),$(parallel))

lock: ## renew the versions in .ci/requirements*.txt
	@.ci/lock

clean: ## remove what the other targets made
	rm -rf .venv .venv-lowest .venv-peers build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find edgegw workers tests -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help demo test proof chaos chaos-all bench lint test-lowest lock clean
.NOTPARALLEL:

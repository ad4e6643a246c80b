# Thin on purpose: each target is what a person would type, and the same that CI runs.
PYTHON ?= python3
VENV   ?= .venv
RUN    := $(VENV)/bin/python
CORES  ?= 2

.PHONY: demo stack dashboards chart test test-kill test-deploy lint lock fuzz bench simulate-faults soak

demo: $(VENV)/.runtime
	$(RUN) -m guard demo

# Simulator, armed guard and Prometheus on loopback until Ctrl-C, for a first look.
stack: $(VENV)/.runtime debian
	$(RUN) -m stack

# Writes the Grafana dashboards anew from their code.
dashboards: $(VENV)/.dev
	$(RUN) -m dashboards

# Writes the chart's schema and the table in its README anew, from values.yaml and the settings.
chart: $(VENV)/.dev
	PYTHONPATH=. $(RUN) helm/renew.py

test: $(VENV)/.dev .venv-deploy/.installed debian
	$(MAKE) lint
	$(RUN) -m pytest -n $(CORES) --cov --cov-fail-under=100 tests/core
	$(RUN) -m pytest -n $(CORES) --ignore tests/core

# Daemons killed with SIGKILL at random instants on one ledger, ROUNDS times on SQLite and on
# PostgreSQL; CI runs 20 and 10 rounds. The seed is printed.
ROUNDS ?= 200
test-kill: $(VENV)/.dev
	PYTHONPATH=.:tests/e2e $(RUN) tests/e2e/killing.py --rounds $(ROUNDS)
	PYTHONPATH=.:tests/e2e $(RUN) tests/e2e/killing.py --rounds $(ROUNDS) --postgres

# What needs root, Debian's container tools, Alertmanager, npm or minutes: the image, built and run hardened; alerts up to a
# webhook; the dashboards in Grafana's own types.
test-deploy: $(VENV)/.dev .venv-deploy/.installed
	@./.ci/debian deploy || echo "what these tests need from Debian is not installed and could not be: they will be skipped"
	$(RUN) -m pytest -m stack tests/deploy

lint: $(VENV)/.dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	PYTHONPATH=. $(VENV)/bin/lint-imports

# Three replicas with 300 targets on PostgreSQL: one is killed, one is stopped beyond its lease; some minutes.
.PHONY: test-replicas
test-replicas: $(VENV)/.dev debian
	GUARD_TEST_TARGETS=300 $(RUN) -m pytest -s tests/e2e/test_e2e_replicas.py

# A minute of hostile policy files; a short run of the same stands among the tests.
fuzz: $(VENV)/.dev
	PYTHONPATH=. $(RUN) tests/fuzz/fuzz_policies.py --seconds 60

# N random schedules of faults and crashes in virtual time, and every deliberate bug, which they have to find.
N ?= 10000
simulate-faults: $(VENV)/.dev
	$(RUN) tests/simulation/simulate.py --schedules $(N) --fresh 100 --processes $(CORES)
	$(RUN) tests/simulation/mutants.py --search 300 --processes $(CORES)

# Every promised number, beside the bare figure of the same run; tables and JSON go to benchmarks/results.
bench: $(VENV)/.dev
	$(RUN) -m benchmarks

# Sped-up days in MINUTES real ones: memory flat, no deadline missed, no scheduler run failed.
MINUTES ?= 10
soak: $(VENV)/.dev
	$(RUN) -m benchmarks soak --minutes $(MINUTES)

# What the tests need from Debian: Prometheus with promtool, Chromium, and PostgreSQL. Installed when that is allowed, else skipped.
.PHONY: debian
debian:
	@./.ci/debian || echo "promtool, chromium or PostgreSQL is not installed and could not be: their tests will be skipped"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# A lock is complete, so nothing is resolved: pip's resolver would ask for the newest version of what stands with an extra, and
# refuse it because the lock pins another.
$(VENV)/.runtime: locks/runtime.txt | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --no-deps --require-hashes -r locks/runtime.txt
	$(RUN) -m pip check
	touch $@

$(VENV)/.dev: locks/dev.txt | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --no-deps --require-hashes -r locks/dev.txt
	$(RUN) -m pip check
	touch $@ $(VENV)/.runtime

# What judges the chart (Helm's engine, Kubernetes' schemas, checkov) pins too much of its own to stand beside the rest.
.venv-deploy/.installed: locks/deploy.txt | $(VENV)/.dev
	$(PYTHON) -m venv --without-pip .venv-deploy
	$(RUN) -m pip --python .venv-deploy/bin/python install --quiet --no-compile --no-deps --require-hashes -r locks/deploy.txt
	touch $@

# Renews all locks from pyproject.toml; they carry hashes and no index address.
lock: $(VENV)/.dev
	$(VENV)/bin/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --upgrade --quiet --output-file locks/runtime.txt
	$(VENV)/bin/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --upgrade --quiet --output-file locks/dev.txt
	$(VENV)/bin/uv pip compile --group deploy --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --upgrade --quiet --output-file locks/deploy.txt
	$(VENV)/bin/uv pip compile --group build --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --upgrade --quiet --output-file locks/build.txt

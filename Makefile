# distrl: two commands, `make train` and `make test`; `make help` lists the others.
#
# Both find a Python 3.10 and make .venv from requirements.lock first; a second call
# installs nothing. `make test-core` does the same with the newest Python and
# requirements-core.lock. Variables: PYTHON and PYTHON_CORE name the Pythons to use,
# ARGS is added to the command, as in `make train ARGS='--seed 2'`.

export PYTHON PYTHON_CORE
UV_VERSION := 0.13.9
EXTRAS := atari box2d dev distributed envpool minatar ray reports video
# Without envpool, whose newest version brings the assets of MuJoCo.
EXTRAS_CORE := atari box2d dev minatar reports video

# Tests of programs in one process (tests/conftest.py), and all others in another.
TWO_AT_ONCE := -n 2 --dist loadgroup

VENV := .venv
VENV_CORE := .venv.core
BIN := $(VENV)/bin
UV ?= $(VENV).uv-$(UV_VERSION)/bin/uv

# The name of a stamp is a hash of what was installed, and of this directory, since
# scripts in a virtual environment contain its path.
key = $(shell { pwd; cat $(1); } | sha256sum | cut -c 1-16)
LOCKED := $(VENV)/.locked-$(call key,requirements.lock)
INSTALLED := $(VENV)/.installed-$(call key,pyproject.toml)
LOCKED_CORE := $(VENV_CORE)/.locked-$(call key,requirements-core.lock)
INSTALLED_CORE := $(VENV_CORE)/.installed-$(call key,pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help install locked train test test-core test-slow bench bench-actor \
    bench-checkpoint bench-crowd bench-environments bench-gpu bench-learner bench-memory \
    bench-replay bench-scale bench-serial bench-soak bench-solve lock check-cuda clean FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' Makefile

install: $(INSTALLED) ## make .venv, unless it exists

locked: $(LOCKED) ## the same without distrl itself, as a layer of a container

train: $(INSTALLED) ## solve Catch with the distributed program
	$(BIN)/distrl train configs/catch.yaml $(ARGS)

test: $(INSTALLED) ## ruff, mypy and the quick tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest $(TWO_AT_ONCE) $(ARGS)

test-core: $(INSTALLED_CORE) ## the tests of the core, on the newest Python and JAX
	$(VENV_CORE)/bin/python -m pytest $(TWO_AT_ONCE) $(ARGS)

test-slow: $(INSTALLED) ## the slow tests
	$(BIN)/python -m pytest -m slow $(ARGS)

bench: bench-actor bench-checkpoint bench-environments bench-learner bench-memory bench-replay bench-serial bench-solve ## most of the benchmarks

bench-actor: $(INSTALLED) ## env steps per second, compared with a bare loop
	$(BIN)/python -m benchmarks.actor $(ARGS)

bench-checkpoint: $(INSTALLED) ## how long a checkpoint pauses the learner and replay
	$(BIN)/python -m benchmarks.checkpoint $(ARGS)

bench-crowd: $(INSTALLED) ## 1,000 stand-in nodes: load of the coordinator, start and stop times
	$(BIN)/python -m benchmarks.crowd $(ARGS)

bench-environments: $(INSTALLED) ## the actor compared with bare environments, for several E
	$(BIN)/python -m benchmarks.environments $(ARGS)

bench-gpu: $(INSTALLED) ## the learner's rows and serial runs on one GPU, in ten minutes
	$(BIN)/python -m benchmarks.gpu $(ARGS)

bench-learner: $(INSTALLED) ## updates per second, compared with a batch in place
	$(BIN)/python -m benchmarks.learner $(ARGS)

bench-memory: $(INSTALLED) ## private memory of every process
	$(BIN)/python -m benchmarks.memory $(ARGS)

bench-replay: $(INSTALLED) ## bytes per transition of Pong, with frames stored once and with stacks
	$(BIN)/python -m benchmarks.replay_bytes $(ARGS)

bench-scale: $(INSTALLED) ## many actors: efficiency, memory, staleness, with and without relays
	$(BIN)/python -m benchmarks.scale $(ARGS)

bench-serial: $(INSTALLED) ## CartPole in one process; PEER='...' also runs a peer
	$(BIN)/python -m benchmarks.serial $(ARGS)

bench-soak: $(INSTALLED) ## fifteen minutes of Catch while random nodes are killed
	$(BIN)/python -m benchmarks.soak $(ARGS)

bench-solve: $(INSTALLED) ## seconds and env steps to the goal, seed by seed
	$(BIN)/python -m benchmarks.solve $(ARGS)

clean: ## remove the virtual environments and all caches, keep the runs
	rm -rf $(VENV) $(VENV).* build dist *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(LOCKED): $(shell test -x $(BIN)/python || echo FORCE)
	@.ci/make-venv $(VENV) $@ requirements.lock

$(LOCKED_CORE): $(shell test -x $(VENV_CORE)/bin/python || echo FORCE)
	@.ci/make-venv $(VENV_CORE) $@ requirements-core.lock

$(INSTALLED): $(LOCKED)
$(INSTALLED_CORE): $(LOCKED_CORE)
$(INSTALLED) $(INSTALLED_CORE):
	@$(@D)/bin/python -m pip --disable-pip-version-check install -qq \
	    --no-deps --no-build-isolation --editable .
	@touch $@

# Keeps existing pins; `make lock ARGS=--upgrade` takes the newest.
COMPILE = UV_CUSTOM_COMPILE_COMMAND='make lock' \
    $(UV) --no-config pip compile --quiet pyproject.toml
LINUX := --python-platform x86_64-manylinux_2_28
PLATFORM := --python-version 3.10 $(LINUX)

lock: $(UV) ## write both locks from pyproject.toml
	$(COMPILE) $(PLATFORM) $(EXTRAS:%=--extra %) \
	    --generate-hashes --output-file requirements.lock $(ARGS)
	$(COMPILE) --python-version 3.12 --universal $(EXTRAS_CORE:%=--extra %) \
	    --generate-hashes --output-file requirements-core.lock $(ARGS)
	@$(MAKE) --no-print-directory check-cuda

check-cuda: $(UV) ## show that the extra cuda12 fits requirements.lock, and cuda13 the core's
	@$(COMPILE) $(PLATFORM) --extra cuda12 --constraints requirements.lock \
	    --no-header --no-annotate --output-file $(VENV).cuda12 --upgrade
	@$(COMPILE) --python-version 3.13 $(LINUX) --extra cuda13 \
	    --constraints requirements-core.lock \
	    --no-header --no-annotate --output-file $(VENV).cuda13 --upgrade
	@echo "The extra cuda12 resolves with requirements.lock:"
	@grep -E '^(jax|nvidia)' $(VENV).cuda12
	@echo "The extra cuda13 resolves with requirements-core.lock:"
	@grep -E '^(jax|nvidia)' $(VENV).cuda13

$(VENV).uv-$(UV_VERSION)/bin/uv:
	python=$$(.ci/find-python) && "$$python" -m venv $(VENV).uv-$(UV_VERSION)
	$(VENV).uv-$(UV_VERSION)/bin/python -m pip install --quiet uv==$(UV_VERSION)

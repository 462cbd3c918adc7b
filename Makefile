# Each target makes the environment it needs, so that a fresh clone needs nothing but Python and make.
PYTHON ?= python3
RUN := .venv/bin
# Two processes, each with whole files of tests, which share what a file sets up.
TESTS := $(RUN)/python -m pytest -n 2 --dist loadfile

.PHONY: help demo report gpu test unit check docs dist fuzz kills environment vllm-environment chromium bubblewrap clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

demo: environment ## train a small ladder, build a frame, score three checkpoints, draw the report
	$(RUN)/densing run quickstart

report: environment ## all figures, tables and the page from the shipped data
	$(RUN)/densing report --out report

gpu: environment ## measure on an NVIDIA GPU what only one can tell, into benchmarks/results/gpu
	$(RUN)/python benchmarks/gpu.py

test: environment vllm-environment chromium bubblewrap check ## every test, in both environments
	$(TESTS) -m "not vllm and not kills"
	@if [ -e .venv-vllm/densing-stamp ]; then .venv-vllm/bin/python -m pytest -m vllm tests/measure; \
	else echo "tests marked vllm did not run: see the reason above"; fi

unit: environment ## the fast half of the tests
	$(TESTS) -m "not slow and not vllm and not browser and not kills"

check: environment ## formatting, lint, types, layers
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/lint-imports

SEED ?= 1
INPUTS ?= 10000
SECONDS ?= 1800

docs: ## the documentation as a site, into build/docs
	@test -x .venv-docs/bin/sphinx-build || ($(PYTHON) -m venv .venv-docs && .venv-docs/bin/pip install --quiet -e ".[docs]")
	.venv-docs/bin/sphinx-build --fail-on-warning -b html docs build/docs

dist: ## sdist and wheel, checked, into dist
	@test -x .venv-release/bin/twine || ($(PYTHON) -m venv .venv-release && .venv-release/bin/pip install --quiet build twine)
	rm -rf dist && .venv-release/bin/python -m build --outdir dist . && .venv-release/bin/twine check --strict dist/*

fuzz: environment ## spoiled inputs for every command: SEED=1 INPUTS=10000 SECONDS=1800
	$(RUN)/python -m tests.campaigns.fuzz --torch --seed $(SEED) --inputs $(INPUTS) --seconds $(SECONDS)

kills: environment ## commands killed at every change of a folder and at random moments, then run again
	$(RUN)/python -m pytest -m kills
	$(RUN)/python -m tests.cluster.kills 10

environment:
	@$(PYTHON) tools/environment.py .venv models,adapters,cluster,notebooks,test

# vLLM pins other versions of torch and transformers, so it lives in an environment of its own.
vllm-environment:
	-@$(PYTHON) tools/environment.py .venv-vllm vllm

chromium:
	-@sh tools/chromium.sh

bubblewrap:
	-@sh tools/bubblewrap.sh

clean: ## remove what runs wrote and the environments
	rm -rf .venv .venv-vllm runs report build

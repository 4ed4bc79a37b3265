# make demo: set up and run the main job on the example clips. make test: set up and run every check.
# Each makes its own virtual environment in .venv; a second run reuses it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Two test processes: the tests themselves start workers.
TEST_PROCESSES ?= 2
# Each process gets the tests of whole files at first, so that it makes their fixtures once.
TEST_OPTIONS := -n $(TEST_PROCESSES) --dist worksteal

.PHONY: demo test test-slow test-newest test-oldest test-bare test-action-units test-ray faults fuzz lint bench check-data docs clean

demo: $(VENV)/.demo
	rm -rf demo
	$(BIN)/feat extract examples/clips -o demo/features
	$(BIN)/feat ls -o demo/features
	$(BIN)/feat plot clip01.mp4 -o demo/features --to demo/clip01.png
	$(BIN)/zoo train psa-mf --features demo/features --runs demo/runs
	@echo
	@echo "made: features of 12 clips in demo/features, a picture in demo/clip01.png, a trained head in demo/runs"
	@echo "next: . $(BIN)/activate"
	@echo "      feat show egemaps --store demo/features"
	@echo "      feat extract YOUR_VIDEOS/        then docs/tutorials/first-features.md"

test: $(VENV)/.test lint
	$(BIN)/python -m pytest $(TEST_OPTIONS) -m "not slow"

# Long recordings, memory, two processes, compilation: what takes over ten seconds.
test-slow: $(VENV)/.test
	$(BIN)/python -m pytest $(TEST_OPTIONS) -m slow

# What users get: the wheel without constraints.txt, with the newest and with the lowest versions that setup.cfg allows
# (torch and torchvision apart). Run weekly; the results are in CHANGELOG.md.
TORCH := $(shell sed -nE 's/^(torch(vision)?==[0-9.]+).*/\1/p' constraints.txt)
NEWEST := $(VENV)/newest
test-newest:
	rm -rf $(NEWEST) && $(PYTHON) -m venv $(NEWEST)
	$(NEWEST)/bin/python -m pip wheel --quiet --no-deps --wheel-dir $(NEWEST)/wheel .
	$(NEWEST)/bin/python -m pip install --quiet "$$(echo $(NEWEST)/wheel/*.whl)[test]" $(TORCH)
	$(NEWEST)/bin/python -m pytest $(TEST_OPTIONS) -m "not slow"

OLDEST := $(VENV)/oldest
test-oldest:
	rm -rf $(OLDEST) && $(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip wheel --quiet --no-deps --wheel-dir $(OLDEST)/wheel .
	$(PYTHON) .ci/lowest.py > $(OLDEST)/constraints.txt
	$(OLDEST)/bin/python -m pip install --quiet -c $(OLDEST)/constraints.txt "$$(echo $(OLDEST)/wheel/*.whl)[test]"
	$(OLDEST)/bin/python -m pytest $(TEST_OPTIONS) -m "not slow"

# A bare `pip install featzoo`, no extras, on any Python: make test-bare PYTHON=python3.13
BARE := $(VENV)/bare
test-bare:
	rm -rf $(BARE) && $(PYTHON) -m venv $(BARE)
	$(BARE)/bin/python -m pip wheel --quiet --no-deps --wheel-dir $(BARE)/wheel .
	$(BARE)/bin/python -m pip install --quiet $(BARE)/wheel/*.whl hypothesis imageio-ffmpeg pytest pytest-timeout
	$(BARE)/bin/python -m pytest -m "not slow" tests/test_package.py tests/media tests/cache

# The tests of action-units, with py-feat in a folder of its own. Its list of packages asks for xgboost, which brings 480 MB
# of CUDA; xgboost-cpu is the same module. torchcodec is left out: featzoo hands py-feat decoded frames.
PYFEAT := $(VENV)/py-feat
PYFEAT_NEEDS := xgboost-cpu timm skops prettytable wcwidth scikit-image imageio tifffile seaborn numexpr plotly \
	easing_functions celluloid
test-action-units: $(PYFEAT)/.done
	PYTHONPATH=$(PYFEAT) $(BIN)/python -m pytest -n0 tests/extractors/vision/test_action_units.py

$(PYFEAT)/.done: $(VENV)/.test
	$(PIP) --no-deps --upgrade --target $(PYFEAT) py-feat==2.1.5 $(PYFEAT_NEEDS)
	touch $@

# The faults for real and at length, which takes hours: 1,000 kills, every failing call, 700 flipped bits in each kind of
# file. It ends with a table. FEATZOO_FAULTS=0.02 does a fiftieth of each.
faults: $(VENV)/.test
	$(BIN)/python -m pytest $(TEST_OPTIONS) -m "faults or hostile"

# The tests of the Ray engine, with Ray and its packages in a folder of its own.
RAY := $(VENV)/ray
test-ray: $(RAY)/.done
	PYTHONPATH=$(abspath $(RAY)) $(BIN)/python -m pytest -n0 tests/extraction/test_engines.py -k ray

$(RAY)/.done: $(VENV)/.test
	$(PIP) --upgrade --target $(RAY) 'ray>=2.40,<3'
	touch $@

# The tests of properties on new examples; `make test` takes the same ones every time.
fuzz: $(VENV)/.test
	$(BIN)/python -m pytest $(TEST_OPTIONS) -m hypothesis --hypothesis-profile fuzz

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

# Slow checks on real data in ../shared/data (or $$FEATZOO_TEST_DATA), and of heads against the code that their authors
# released in ../shared/released (or $$FEATZOO_RELEASED_CODE); they print their figures.
check-data: $(VENV)/.test
	$(BIN)/python benchmarks/mosi.py
	$(BIN)/python benchmarks/mosi_leak.py
	$(BIN)/python benchmarks/released_code.py
	$(BIN)/python benchmarks/released_baselines.py

# The documentation as a site in build/site; a warning is an error.
docs: $(VENV)/.demo
	$(PIP) -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

bench: $(VENV)/.test
	$(BIN)/python benchmarks/extract.py
	$(BIN)/python benchmarks/rerun.py
	$(BIN)/python benchmarks/store.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/covarep.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/text.py

$(VENV)/.python:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.demo: $(VENV)/.python setup.cfg pyproject.toml constraints.txt
	@echo "installing featzoo, PyTorch and openSMILE into $(VENV) (2 GB; some minutes)"
	$(PIP) -e '.[egemaps,minilm,zoo]'
	touch $@

$(VENV)/.test: $(VENV)/.demo
	@echo "installing the packages of the tests into $(VENV) (1 GB more; some minutes)"
	$(PIP) -e '.[test]'
	touch $@

clean:
	rm -rf $(VENV) demo build *.egg-info

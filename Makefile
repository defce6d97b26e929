# make demo    set up, build, install and recognise the shipped sounds
# make test    the whole test suite: pytest and the C++ tests
# make bench   measure, and write docs/performance.md
# make bench-arm64  count instructions on AArch64 under qemu, and write docs/measured/arm64.json
# make bench-resnet18  measure a residual net for images, and write docs/resnet18.md
# make bench-resnet18-arm64  count its instructions on AArch64 under qemu (minutes), for that page
# make frontier  compare trained models with peers, and write docs/frontier.md
# make lint    ruff, mypy, clang-format
# make clean   remove what the other targets made
#
# Everything goes into .venv and build/; nothing has to be activated. PYTHON=python3.12 picks another
# Python, TORCH=no leaves PyTorch out of `make test` (the tests that need it are skipped).
PYTHON ?= python3
TORCH ?= yes
MAKEFLAGS += --no-print-directory
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
SOURCES := CMakeLists.txt pyproject.toml README.md LICENSE \
  $(shell find csrc python -type f -not -path '*/__pycache__/*')

.DELETE_ON_ERROR:
.PHONY: demo test bench bench-arm64 bench-resnet18 bench-resnet18-arm64 frontier lint clean

demo: $(STAMPS)/install
	$(BIN)/bifast demo

test: $(STAMPS)/test-$(TORCH)
	$(BIN)/python -m pytest tests
	tools/native_tests.sh build/native

bench: $(STAMPS)/bench
	tools/bench.sh $(BIN)

bench-arm64: $(STAMPS)/bench
	tools/bench_arm64.sh $(BIN)

bench-resnet18: $(STAMPS)/bench
	OMP_NUM_THREADS=1 $(BIN)/python bench/resnet18.py

bench-resnet18-arm64: $(STAMPS)/bench
	PROGRAM=bench/resnet18_arm64.py tools/bench_arm64.sh $(BIN)

# MODELS: run folders of one task, .bifast files; those of one name are seeds. BIFAST_DATA names the recordings.
MODELS ?= $(wildcard $(addprefix runs/,sc11-kws/seed* sc11-kws-2/seed* sc11-balanced/seed* \
  frontier/*.bifast sc11-dscnn sc11-bcresnet))
frontier: $(STAMPS)/bench $(STAMPS)/test-yes
	OMP_NUM_THREADS=1 $(BIN)/python bench/frontier.py $(MODELS)

lint: $(STAMPS)/lint
	tools/lint.sh $(BIN)

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks

$(STAMPS)/venv: tools/make_venv.sh
	tools/make_venv.sh $(PYTHON) $(VENV)
	@mkdir -p $(@D) && touch $@

$(STAMPS)/install: $(STAMPS)/venv $(SOURCES)
	tools/pip_install.sh $(BIN) .
	@touch $@

$(STAMPS)/test-yes: $(STAMPS)/install tools/constraints.txt
	tools/pip_install.sh $(BIN) 'bifast[test,audio,train]' || \
	  { echo "bifast: PyTorch does not install here; leave it out: make test TORCH=no" >&2; exit 1; }
	@touch $@

$(STAMPS)/test-no: $(STAMPS)/install tools/constraints.txt
	tools/pip_install.sh $(BIN) 'bifast[test,audio]'
	@touch $@

$(STAMPS)/bench: $(STAMPS)/install tools/constraints.txt
	tools/pip_install.sh $(BIN) 'bifast[bench]'
	-tools/pip_install.sh $(BIN) --no-deps bnn-lab  # a peer; it pins packages that nothing here needs
	@touch $@

$(STAMPS)/lint: $(STAMPS)/test-no tools/constraints.txt
	tools/pip_install.sh $(BIN) 'bifast[lint]'
	@touch $@

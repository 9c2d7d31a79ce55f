# `make chat` and `make test` do everything from nothing and are quick the second time.
# make TORCH=cpu chat: PyTorch without CUDA, 1.7 GB in place of 5. After make clean, if installed.
PYTHON ?= python3
TORCH ?=
VENV := .venv
BIN := $(VENV)/bin
OLD := phichat needs Python 3.11 or newer: make PYTHON=python3.12 chat
INSTALL = $(PYTHON) -c 'import sys; sys.exit("$(OLD)" if sys.version_info < (3, 11) else 0)' && \
	  $(PYTHON) .ci/install.py --torch=$(TORCH)
UNLOCKED := $(addprefix --no-emit-package ,torch triton cuda-bindings cuda-pathfinder cuda-toolkit \
	  $(addprefix nvidia-,cublas cuda-cupti cuda-nvrtc cuda-runtime cudnn-cu13 cufft cufile curand \
	  cusolver cusparse cusparselt-cu13 nccl-cu13 nvjitlink nvshmem-cu13 nvtx))
COMPILE = uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	  --custom-compile-command 'make lock' $(UNLOCKED)

.PHONY: chat test test-all test-long test-vllm check format bench lock clean

chat: $(VENV)/installed
	@$(BIN)/phichat

test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n auto --dist loadfile -m 'not long and not slow'

test-all: $(VENV)/installed-test
	$(BIN)/python -m pytest -n auto --dist loadfile

test-long: $(VENV)/installed-test
	$(BIN)/python -m pytest -m long --timeout 3600

# Installs vLLM once, 3.5 GB; PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu has its PyTorch.
test-vllm: $(VENV)/installed-test
	$(BIN)/python -m tests.real.vllm_ids

check: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.style.words

bench: $(VENV)/installed-test
	$(BIN)/python -m tests.bench

format: $(VENV)/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) *.egg-info build

$(VENV)/installed: pyproject.toml requirements.lock
	@$(INSTALL)
	@touch $@

$(VENV)/installed-test: pyproject.toml requirements-test.lock
	@$(INSTALL) --test
	@touch $@ $(VENV)/installed

# Needs uv and PyPI. PyTorch and the CUDA libraries are left out: their builds differ by machine.
lock:
	$(COMPILE) \
	  pyproject.toml -o requirements.lock
	$(COMPILE) \
	  -c requirements.lock --extra test pyproject.toml -o requirements-test.lock

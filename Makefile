# The one menu. Every target brings what it needs first (scripts/setup); what is there already costs nothing.
# Lines beginning with `##` are the help text.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# rustup's proxies before a distribution's older cargo; they obey rust-toolchain.toml.
export PATH := $(HOME)/.cargo/bin:$(PATH)

PORT ?= 8081
CONFIG ?= examples/quickstart/mortise.yaml
# The development profile: it shares its artefacts with the tests and is built in a fraction of the time of the
# optimised one, which matters more to someone who tries it than the speed of a call. RELEASE=1 has the other.
RELEASE ?=
PROFILE := $(if $(RELEASE),release,dev)
# Where Cargo puts what it builds. make's functions for paths are left alone, as they take a space for the end of one.
BUILT := $(if $(filter /%,$(CARGO_TARGET_DIR)),,$(CURDIR)/)$(or $(CARGO_TARGET_DIR),target)
BINARIES := $(BUILT)/$(if $(RELEASE),release,debug)
# Further words for the test runners: make test-interop PYTEST='-k progress', make test-rust CARGO_TEST='-p mortise-mcp'.
PYTEST ?=
# Words for the bench: make bench BENCH='--rounds 3 --seconds 2'. WRITE=1 keeps what was measured in docs/performance.md.
BENCH ?=
WRITE ?=
CARGO_TEST ?= --workspace
# Which fuzz targets, none for all, and for how many seconds each.
TARGET ?=
TIME ?= 60

# Duplicate versions are warnings, one line each.
DENY := .tools/bin/cargo-deny --all-features check --hide-inclusion-graph
INTEROP_PYTHON := .venv/mcp1/bin/python

.PHONY: help
help:
	@echo "make TARGET:"
	@sed -n 's/^## \([a-z-]*\): \(.*\)/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

## run: build and start the gateway before a demo server, with the sample configuration (PORT=8081 CONFIG=... RELEASE=1)
.PHONY: run
run: setup-rust
	cargo build --profile $(PROFILE) -p mortise -p mortise-testkit --bin mortise --bin mortise-demo-server
	@scripts/try.sh $(PORT)
	@PATH="$(BINARIES):$$PATH" exec "$(BINARIES)/mortise" serve --config $(CONFIG) --port $(PORT)

# The tests of Rust have built the programs; alone, with fewer features asked of crates, they would be built anew.
## test: all tests, whatever fails: Rust's, then the official MCP clients and servers of other languages through the gateway
.PHONY: test
test: setup
	@failed=0; $(MAKE) test-rust || failed=1; \
	$(MAKE) test-interop MORTISE_BIN="$(BUILT)/debug/mortise" || failed=1; exit $$failed

## test-rust: unit, property and integration tests of the workspace (CARGO_TEST='-p mortise-mcp')
.PHONY: test-rust
test-rust: setup-rust setup-go setup-sdk
	cargo test --no-fail-fast $(CARGO_TEST)

## test-interop: other projects' clients and servers through the gateway, and the conformance suite (PYTEST='-k progress')
.PHONY: test-interop
test-interop: setup-rust setup-go setup-interop
	$(if $(MORTISE_BIN),,cargo build -p mortise -p mortise-testkit --bin mortise --bin mortise-fake-vendor)
	MORTISE_BIN="$(or $(MORTISE_BIN),$(BUILT)/debug/mortise)" $(INTEROP_PYTHON) -m pytest -c tests/interop/pytest.ini --rootdir tests/interop tests/interop $(PYTEST)

## fuzz: feed made-up input to what reads strangers' input (TARGET=envelope TIME=300; without TARGET all, one by one)
.PHONY: fuzz
fuzz: setup-rust setup-fuzz
	@scripts/fuzz.sh $(TIME) $(TARGET)

## check: formatting, lints, docs, direction of dependencies, generated files, licences and bans
.PHONY: check
check: setup-rust setup-deny
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --quiet
	cargo xtask check-deps
	cargo xtask gen --check
	$(DENY) licenses bans sources
	@scripts/check-advisories.sh

## fmt: format all Rust code
.PHONY: fmt
fmt: setup-rust
	cargo fmt --all

## gen: write the generated files anew: schemas, the configuration reference, the tables in the docs
.PHONY: gen
gen: setup-rust
	cargo xtask gen

## bench: measure, beside nginx and the bare upstream, and print ratios (WRITE=1 writes docs/performance.md)
.PHONY: bench
bench: setup-rust setup-go setup-bench
	cargo xtask bench $(if $(WRITE),--write) $(BENCH)

## setup: bring everything the other targets need: Rust, system packages, Python and Node packages, cargo-deny
.PHONY: setup setup-rust setup-go setup-sdk setup-interop setup-deny setup-bench setup-fuzz
# What is downloaded need not wait for what is compiled; packages of the system come first, as only one may install them.
setup: setup-rust
	@scripts/setup/system.sh build python node postgres
	@$(MAKE) -j2 setup-go setup-interop setup-deny

setup-rust:
	@scripts/setup/system.sh build python postgres
	@scripts/setup/rust.sh

setup-go:
	@scripts/setup/go.sh

setup-sdk:
	@scripts/setup/system.sh python
	@scripts/setup/python.sh sdk

setup-interop:
	@scripts/setup/system.sh python node
	@scripts/setup/python.sh
	@scripts/setup/node.sh

setup-deny: setup-rust
	@scripts/setup/cargo-deny.sh

setup-fuzz: setup-rust
	@scripts/setup/cargo-fuzz.sh

setup-bench:
	@scripts/setup/system.sh bench python
	@scripts/setup/python.sh cpex

## clean: remove what was built; `make clean-all` also removes what set-up brought into this directory
.PHONY: clean clean-all
clean:
	rm -rf target
	find tests -name __pycache__ -type d -prune -exec rm -rf {} +

clean-all: clean
	rm -rf .tools .venv tests/interop/typescript/node_modules

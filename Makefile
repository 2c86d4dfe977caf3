# The commands of this repository; `make` alone lists them. Each works from a fresh clone on Debian or Ubuntu with
# a Rust toolchain: what else a command needs, it installs.

TARGET := $(or $(CARGO_TARGET_DIR),target)
# Another place for the data: make run DATA_DIR=/srv/trunkline
DATA_DIR ?=
# More flags for the program, for instance: make run ARGS="--http 127.0.0.1:9100 --no-compat-ports"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run certs test lint docs bench

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Build the release program and start the whole platform, with its data in ./data (DATA_DIR=elsewhere, ARGS="more flags")
	@scripts/ensure-compiler
	cargo build --release --package trunkline
	exec "$(TARGET)/release/trunkline" serve $(if $(DATA_DIR),--data-dir "$(DATA_DIR)") $(ARGS)

certs: ## Make certificates for development in ./certs (ARGS="--host name --client id"); see docs/certificates.md
	@scripts/ensure-compiler
	cargo run --release --package trunkline -- certs dev $(ARGS)

test: ## Install what the tests need, and run all of them on throw-away servers
	@scripts/test

lint: ## Check format, lints and documentation, as .ci/run does
	@scripts/lint

docs: ## Build the documentation of the code and say where it is
	cargo doc --workspace --no-deps --document-private-items
	@echo "$(TARGET)/doc/trunkline/index.html"

bench: ## Measure against the budgets and print the table
	@scripts/bench

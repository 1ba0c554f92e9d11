# The front door, for people and CI alike.
export ALLMENDE_CACHE ?= $(HOME)/.cache/allmende
export CARGO_TARGET_DIR ?= $(ALLMENDE_CACHE)/target

.DEFAULT_GOAL := help
# What the fault story starts.
programs := -p allmende-api -p allmende-operator -p allmende-billing

.PHONY: help demo test faults check tools gen gen-check fmt lint soak fuzz bench

help: ## shows this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## a cluster on this machine, an order, a database, an invoice (root; installs what it needs)
	@demo/run

test: ## everything: checks, tests on a real etcd and API server, invoices judged by Mustang, the demo as a test
	@.ci/stages

faults: ## kills the API, the operator, Helm and the billing worker once each; ALLMENDE_SEED chooses the moments
	@cargo build --locked $(programs)
	@cargo test --locked -p allmende-tests --test faults -- --nocapture

check: ## what is quick: format, clippy, layers, sizes, licences, rights, charts
	@.ci/stages format lint layers sizes licences rights charts

tools: ## builds and installs the tools into ALLMENDE_CACHE (etcd, Kubernetes, Helm, ...)
	@deploy/local/tools/install

gen: ## writes generated files: Rust of the protos, CRDs, sample data, snapshots of the charts
	@.ci/generated write
	@charts/check --write
	@cargo xtask write-rights

gen-check: ## fails when a generated file is not current
	@.ci/stages generated

fmt: ## formats the Rust code
	@cargo fmt --all

lint: ## clippy, warnings are errors
	@.ci/stages lint

soak: ## the long forms of what `make test` runs with a few seeds: mutated requests, abuse of HTTP/2, killed programs, the quota's ledger (hours)
	@ALLMENDE_MUTATIONS=10000 ALLMENDE_ABUSE_SECONDS=20 cargo test --locked -p allmende-api --test mutations --test abuse -- --nocapture
	@ALLMENDE_SEEDS=$${ALLMENDE_SEEDS:-20} $(MAKE) --no-print-directory faults
	@ALLMENDE_QUOTA_HISTORIES=500 cargo test --locked -p allmende-store --test linearizability -- --nocapture
	@ALLMENDE_QUOTA_OPERATIONS=$${ALLMENDE_QUOTA_OPERATIONS:-100000} cargo test --locked -p allmende-tests --test quota -- --nocapture

fuzz: ## libFuzzer on every decoder, ALLMENDE_FUZZ_SECONDS (60) each; a short form is part of `make test`
	@fuzz/run

bench: ## measures reads, previews and reservations beside their floors; writes bench/RESULTS.md (builds for some minutes first)
	@bench/run

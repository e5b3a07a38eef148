# Everything a developer does, from a fresh clone. `make run` serves, `make test` proves.
CARGO ?= cargo
NPM ?= npm
ARGS ?=
FUZZ_SECONDS ?= 30

UI_SOURCES := $(shell find admin-ui -type f -not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null)

.PHONY: run cluster test bench fmt lint ui fuzz

## serves a development node with its meeting page: make run ARGS="--port 8880"
run: ui
	$(CARGO) build --release --bin starling
	exec target/release/starling --dev $(ARGS)

## three nodes on loopback that find each other by gossip; Ctrl-C ends all: make cluster ARGS="--nodes 5"
cluster: ui
	$(CARGO) build --release --bin starling
	exec tests/cluster/three $(ARGS)

## every test: cargo, vitest, Python and browser stories; one line of totals at the end
test:
	tests/run $(ARGS)

## forwarding cost, throughput, memory, latency and join time, beside str0m in the same run
bench: ui
	$(CARGO) build --release -p starling -p starling-chaos
	target/release/starling-bench run $(ARGS)
	target/release/starling-bench join --starling target/release/starling --count 100 --output target/bench.md

fmt:
	$(CARGO) fmt --all

lint: ui
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	cd admin-ui && $(NPM) run check --silent

## the pages that the binary embeds
ui: admin-ui/node_modules/.built

admin-ui/node_modules/.package-lock.json: admin-ui/package-lock.json
	cd admin-ui && $(NPM) ci --no-audit --no-fund
	@touch $@

admin-ui/node_modules/.built: admin-ui/node_modules/.package-lock.json $(UI_SOURCES)
	cd admin-ui && $(NPM) run build --silent
	@touch $@

## each fuzz target for FUZZ_SECONDS; needs the nightly toolchain and cargo-fuzz
fuzz:
	@command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: cargo install cargo-fuzz"; exit 1; }
	@$(CARGO) +nightly --version >/dev/null 2>&1 || { echo "the nightly toolchain is missing: rustup toolchain install nightly"; exit 1; }
	cd media/fuzz && for target in $$($(CARGO) +nightly fuzz list); do \
	  $(CARGO) +nightly fuzz run "$$target" -- -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

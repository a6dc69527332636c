# `make help` lists the targets; docs/configuration.md says what the settings of `make up` mean.
SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help tools build up scale-out test interleavings soak interface screenshots fuzz bench bench-smoke check rust-consumer python-consumer middleware probes plug templates package clean

# The settings of `make up`, on the command line or in the environment. They are handed on
# to the letter: a `$` in a password is not make's.
SETTINGS := REDIS_ADDRESS REDIS_USERNAME REDIS_PASSWORD REDIS_DATABASE REDIS_REPLICA_ADDRESS \
	KEY_PREFIX CACHE_PROVIDER_TTL REDIS_TIMEOUT_MS \
	EDGE_CACHE_TTL_MS EDGE_CACHE_STORE EDGE_CACHE_ENTRIES STATS SERVER_TIMING \
	ORIGIN ORIGIN_FAULT ORIGIN_URL ORIGIN_TOKEN ORIGIN_TIMEOUT_MS NEGATIVE_TTL REFRESH_AHEAD STALE_IF_ERROR \
	TTL_JITTER READ_TOKEN WRITE_TOKEN EXPLORER EXPLORER_TOKEN PORT EXAMPLE SPIN
$(foreach name,$(SETTINGS),$(if $(filter command,$(origin $(name))),\
	$(eval override $(name) := $$(value $(name)))))
export $(SETTINGS)

# A misspelt setting would be ignored. Those of other commands are here too; what make, cargo, rustc, compilers and
# Spin read is theirs to judge.
KNOWN := $(SETTINGS) SECONDS ONLY REPLAY SCENARIO REDIS_SERVER CHROMIUM ADVISORY_DB
GIVEN := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
UNKNOWN := $(firstword $(filter-out $(KNOWN) SHELL PATH TMPDIR MAKE% CARGO% RUST% SPIN_% SSL_% %PROXY %proxy CC% CXX% %FLAGS,$(GIVEN)))
$(if $(UNKNOWN),$(error unknown setting $(UNKNOWN)$(foreach name,$(shell scripts/nearest.sh '$(UNKNOWN)' $(KNOWN)), \
	(did you mean $(name)?)); `make help` names the settings))

COMPONENT := provider-connection-cache
# The library, the components over it, and those that only tests use.
COMPONENTS := $(addprefix -p ,$(COMPONENT) $(COMPONENT)-component $(COMPONENT)-service \
	$(COMPONENT)-middleware provider-connection-explorer key-value-probe cancellation-probe)
HOST := provider-connection-cache-host
TARGET := wasm32-unknown-unknown

help: ## list the targets, and the settings of make up
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22
	@printf '\nsettings of make up, after it or in the environment (docs/configuration.md):\n'
	@echo $(SETTINGS) | fold -s -w 76 | sed 's/^/  /'

# Says what is missing, and adds the WebAssembly targets.
tools:
	@scripts/tools.sh

build: tools ## build the components into dist/
	@scripts/step.sh --once dist/provider-connection-explorer.wasm "about a minute" "building the components" \
		cargo run --profile host -p xtask

up: ## build and serve on http://127.0.0.1:3000, with a Redis of its own (ORIGIN=demo, EXPLORER=1, EXAMPLE=…)
	@scripts/up.sh

scale-out: ## serve on two hosts, over a primary and a replica with TLS: deploy/README.md
	@deploy/local/up.sh

build_it = scripts/step.sh "building the tests" cargo test --no-run --profile host -p $(COMPONENT) --test it

test: rust-consumer python-consumer middleware probes templates ## run every test, against a real Redis (SPIN=/path/to/spin: on Spin)
	@scripts/test.sh

interleavings: build ## try every order of Redis commands in small scenarios (REPLAY='…' one schedule, SCENARIO=… some)
	@redis=$$(scripts/redis.sh) && $(build_it) && REDIS_SERVER="$$redis" \
		cargo test --profile host -p $(COMPONENT) --test it -- \
		--nocapture --ignored --exact interleavings::no_schedule_breaks_a_promise

interleavings: export REPLAY ?=
interleavings: export SCENARIO ?=

soak: SECONDS ?= 120
soak: build ## read and write for SECONDS=120 while Redis and an origin fail, alone and with an edge cache (SPIN=…)
	@redis=$$(scripts/redis.sh) && $(build_it) && \
		echo "reading and writing for $(SECONDS) s" >&2 && REDIS_SERVER="$$redis" SOAK_SECONDS=$(SECONDS) \
		cargo test --profile host -p $(COMPONENT) --test it -- \
		--nocapture --exact soak::no_answer_is_wrong_whatever_happens_to_redis \
		soak::no_answer_is_wrong_whatever_happens_to_redis_and_to_the_origin \
		soak::with_an_edge_cache_no_answer_is_older_than_it_may_be

interface: tools ## write docs/interface.md from the comments in wit/
	@scripts/step.sh "building what writes it" cargo run --profile host -p xtask -- interface

screenshots: build ## take the pictures of the explorer in docs/ anew
	REDIS_SERVER="$$(scripts/redis.sh)" CHROMIUM="$$(scripts/debian.sh chromium "$${CHROMIUM:-chromium}")" SCREENSHOTS=docs && \
		scripts/node.sh tests/explorer && export REDIS_SERVER CHROMIUM SCREENSHOTS && \
		cargo test --profile host -p $(COMPONENT) --test it -- --exact explorer::in_a_browser

fuzz: SECONDS ?= 60
fuzz: ## fuzz each target of fuzz/ for SECONDS=60
	@scripts/fuzz.sh $(SECONDS)

bench: rust-consumer python-consumer middleware ## compare with other servers, in 25 minutes: docs/benchmarks.md (SPIN=… ONLY=distance)
	scripts/bench.sh $(if $(ONLY),--only=$(ONLY))

bench-smoke: rust-consumer python-consumer middleware ## show that `make bench` works, in 2 minutes
	scripts/bench.sh --smoke

# The components are there for WebAssembly only, the tests of the library for this machine only. So both
# targets are checked.
check: export RUSTDOCFLAGS := -D warnings
check: tools ## check format, lints, documentation, dependencies and their licences, scripts and workflows
	@scripts/tools.sh check
	cargo fmt --all --check
	cargo clippy --profile host --workspace --all-targets -- -D warnings
	cargo clippy --profile host $(COMPONENTS) --target $(TARGET) -- -D warnings
	cargo doc --profile host --no-deps --document-private-items $(COMPONENTS) --target $(TARGET)
	cargo doc --profile host --no-deps --document-private-items -p $(HOST) -p $(COMPONENT)-fuzz -p provider-connection-origin -p xtask
	cargo clippy --profile host -p $(COMPONENT)-fuzz --features libfuzzer -- -D warnings
	"$$(scripts/tools.sh machete)" .
	scripts/deny.sh
	scripts/lint.sh

build_example = scripts/step.sh "building examples/$(1)" scripts/example.sh $(1)

rust-consumer: build ## build examples/rust-consumer, which imports the cache
middleware: build ## build examples/middleware, before which the cache stands
rust-consumer middleware:
	@$(call build_example,$@)

python-consumer: build dist/python-consumer.wasm ## build examples/python-consumer

probes: tools ## build the components in tests/: for the hosts' key-value stores, and for calls that are given up
	@unset CARGO_TARGET_DIR && scripts/step.sh "building the components in tests/" \
		cargo build --release --package key-value-probe --package cancellation-probe --target wasm32-wasip2

# With the tools that the example lists, in 8 s, so only if something changed.
dist/python-consumer.wasm: $(wildcard $(addprefix examples/python-consumer/,*.py wit/*.wit requirements.txt spin.toml)) \
		$(wildcard wit/*.wit wit/deps/*/*.wit)
	@python=$$(scripts/python.sh "$${CARGO_TARGET_DIR:-$$PWD/target}/python-consumer" examples/python-consumer/requirements.txt) && \
		PATH="$${python%/*}:$$PATH" && $(call build_example,python-consumer)

plug: rust-consumer ## compose it and the cache into one file, dist/rust-consumer.wasm, with wac
	@command -v wac >/dev/null || { echo "missing: wac. Install it: cargo install wac-cli" >&2; exit 1; }
	wac plug examples/rust-consumer/target/wasm32-wasip2/release/rust_consumer.wasm \
		--plug dist/$(COMPONENT).wasm --output dist/rust-consumer.wasm

# What `spin templates install --tar` takes, with the component in the place of the link to it. The
# same files make the same bytes.
templates: build ## pack the Spin templates, with the component, into dist/
	tar --create --file=dist/$(COMPONENT)-templates.tar.gz --use-compress-program='gzip --no-name' --dereference \
		--sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX templates

package: templates ## make what is released, in dist/: docs/release.md
	scripts/package.sh

clean: ## remove all that was built
	cargo clean
	rm -rf dist

# Portico. `make` alone lists what there is to make.
#
# Every target does its own set-up: a Debian machine needs make and Go, and for
# the tests that use Postgres root or an installed one (see
# internal/store/storetest/pgcluster). Tools come from tools/go.mod, pinned,
# built once and kept in Go's build cache.

SHELL := /bin/sh
.SHELLFLAGS := -eu -c
.DEFAULT_GOAL := help

GO ?= go
# The Go that is here is the Go that is used: never one fetched on the way.
export GOTOOLCHAIN := local

# What may be given: make test RACE=1 PKG=./internal/login TESTFLAGS='-run Story -v'
PKG ?= ./...
TESTFLAGS ?=
ARGS ?=
RACE ?=
MINUTES ?= 3
SEED ?= 0
RESTARTS ?= 50
PAIRS ?= 1000
TIMINGS ?= 20000
FUZZTIME ?= 1m
MUTATIONS ?= 3500000
RESULTS ?=
SCREENSHOTS ?=
VERSION ?=

ifneq ($(filter-out help clean,$(or $(MAKECMDGOALS),help)),)
go_needed := $(shell sed -n 's/^go //p' go.mod)
# From /, since an older Go refuses to say anything beside a newer go.mod.
go_found := $(shell cd / && $(GO) version 2>/dev/null | sed -n 's/.* go\([0-9][^ ]*\).*/\1/p')
ifeq ($(go_found),)
$(error Go $(go_needed) or newer is needed and "$(GO)" is not here: see https://go.dev/doc/install, or make GO=/path/to/go)
endif
ifneq ($(shell printf '%s\n' $(go_needed) $(go_found) | sort -V -C && echo yes),yes)
$(error Go $(go_needed) or newer is needed and "$(GO)" is $(go_found): see https://go.dev/doc/install, or make GO=/path/to/go)
endif
endif

tool := $(GO) tool -modfile=tools/go.mod
with_postgres := $(GO) run ./internal/store/storetest/withpostgres --

# The race detector takes several times as long and needs a C compiler: it is on
# where RACE=1 asks for it, and a machine without a compiler tests without.
race_wanted := $(filter-out 0 false no,$(RACE))
ifneq ($(race_wanted),)
ifneq ($(filter test test-short test-race checklists,$(MAKECMDGOALS)),)
c_compiler := $(shell command -v $$($(GO) env CC) 2>/dev/null)
ifeq ($(c_compiler),)
$(info make: no C compiler here, so the tests run without the race detector (Debian: apt-get install gcc libc6-dev))
else
# SQLite is C that was translated to Go, one memory access at a time: under the
# detector it takes ten times as long, and no access of ours is in it.
race := -race -gcflags=modernc.org/...=-race=false
endif
endif
endif

# Most tests wait for a server more than they compute. The linters look for what
# vet would find a second time.
parallel := -parallel 4 $(if $(race),-vet=off)

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '%-18s %s\n' "$$name" "$$text"; done

.PHONY: run
run: ## start Portico against the bundled simulator, on an embedded database (ARGS=…)
	CGO_ENABLED=0 $(GO) run ./cmd/demo $(ARGS)

.PHONY: build
build: ## build bin/portico: static, stripped (VERSION=v0.1.0 to call it so)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w$(if $(VERSION), -X github.com/portico-id/portico/cmd/internal/program.Version=$(VERSION))' -o bin/portico ./cmd/portico

.PHONY: release
release: ## put a release of the commit into bin/release: archives, bills of materials, checksums (VERSION=v0.1.0)
	@rm -rf bin/release
	@GO=$(GO) deploy/release.sh $(or $(VERSION),$(error make release VERSION=v0.1.0)) bin/release

.PHONY: verify-release
verify-release: release ## make it twice, the second time elsewhere and from nothing, and compare (VERSION=v0.1.0; some minutes)
	@rm -rf bin/release-again
	@COLD=1 GO=$(GO) deploy/release.sh $(VERSION) bin/release-again >/dev/null
	@diff -r bin/release bin/release-again && echo 'two builds, one digest'

.PHONY: check-deploy
check-deploy: ## hold what deploys Portico against the schemas of Kubernetes, Compose and systemd
	cd deploy/tools && $(GO) vet ./... && $(GO) test $(TESTFLAGS) ./...
	@command -v systemd-analyze >/dev/null || { echo 'make check-deploy: the units were not tried, there is no systemd-analyze here'; exit 0; }; \
	units=$$(mktemp -d); trap 'rm -rf "$$units"' EXIT; \
	for unit in deploy/systemd/*.service; do sed 's|/usr/local/bin/portico|/bin/true|' "$$unit" >"$$units/$${unit##*/}"; done; \
	said=$$(systemd-analyze verify --man=no "$$units"/*.service 2>&1) || { echo "$$said" >&2; exit 1; }; \
	[ -z "$$said" ] || { echo "$$said" >&2; exit 1; }; \
	for unit in "$$units"/*.service; do systemd-analyze security --offline=true --threshold=20 --no-pager "$$unit" | tail -n 1; done

.PHONY: test
test: ## run all tests on one private Postgres (RACE=1, PKG=./internal/…, TESTFLAGS=…, RESULTS=bin/test.json to keep what they say)
ifeq ($(RESULTS),)
	$(with_postgres) $(GO) test $(race) $(parallel) -timeout 25m $(TESTFLAGS) $(PKG)
else
	@mkdir -p $(dir $(RESULTS)); rm -f $(RESULTS).failed
	{ $(with_postgres) $(GO) test -json $(race) $(parallel) -timeout 25m $(TESTFLAGS) $(PKG) || echo $$? >$(RESULTS).failed; } \
		| tee $(RESULTS) | $(GO) run ./cmd/checklists -quiet
	@[ ! -e $(RESULTS).failed ] || { echo "go test ended with $$(cat $(RESULTS).failed)" >&2; exit 1; }
endif

# What goroutines share is in these packages. The tests that start processes of
# their own are left out: what is in those is not under the detector.
concurrent := ./api ./cmd/internal/program ./internal/account ./internal/audit ./internal/beyondidentity \
	./internal/challenge ./internal/gate ./internal/importer ./internal/keyring ./internal/login ./internal/mail \
	./internal/provision ./internal/queue ./internal/ratelimit ./internal/reconcile ./internal/session \
	./internal/signup ./internal/store ./internal/webhook/...

.PHONY: test-race
test-race: ## the tests of what goroutines share, under the race detector
	@$(MAKE) --no-print-directory test-short RACE=1 PKG='$(if $(filter-out ./...,$(PKG)),$(PKG),$(concurrent))'

.PHONY: test-short
test-short: ## without the stories that start processes: under a minute when warm
	$(with_postgres) $(GO) test $(race) $(parallel) -short -timeout $(if $(race),20m,5m) $(TESTFLAGS) $(PKG)

.PHONY: checklists
checklists: ## run all tests and print what they prove of each checklist (RESULTS=bin/test.json: of a run that was)
ifeq ($(RESULTS),)
	@$(MAKE) --no-print-directory test RESULTS=bin/test.json
	$(GO) run ./cmd/checklists -json bin/test.json
else
	$(GO) run ./cmd/checklists -json $(RESULTS)
endif

.PHONY: bench
bench: ## measure Portico against baselines in one run and print the ratios (ARGS='-rounds 21 -sessions 1000000')
	$(with_postgres) $(GO) run ./cmd/bench $(ARGS)

.PHONY: test-foreign
test-foreign: ## log in with an OpenID provider that is not ours: npm's oidc-provider (needs node and npm)
	$(with_postgres) $(GO) test -tags foreign $(race) -count 1 -timeout 10m -run Foreign $(TESTFLAGS) ./cmd/internal/program

.PHONY: test-browser
test-browser: ## walk through the example app in a real browser (needs Chromium; SCREENSHOTS=folder keeps pictures)
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
		{ echo 'make test-browser: Chromium is missing (Debian: apt-get install chromium)' >&2; exit 1; }
	$(if $(SCREENSHOTS),@mkdir -p $(SCREENSHOTS))
	PORTICO_TEST_SCREENSHOTS=$(abspath $(SCREENSHOTS)) $(GO) test -tags browser -count 1 -timeout 10m -run Browser $(TESTFLAGS) ./cmd/demo

.PHONY: gauntlet
gauntlet: ## sign up under kill -9, crashes and outages, and count (MINUTES=3 SEED=… ARGS='-replicas 3 -storm …')
	$(GO) run ./cmd/gauntlet -minutes $(MINUTES) -seed $(SEED) $(ARGS)

.PHONY: rolling
rolling: ## restart replicas one after the other under load, and count what fails (RESTARTS=50 ARGS='-replicas 3 -delay 2s …')
	$(GO) run ./cmd/rolling -restarts $(RESTARTS) $(ARGS)

.PHONY: oracle
oracle: ## look for a difference between registered and other addresses (PAIRS=1000 TIMINGS=20000)
	$(with_postgres) $(GO) test ./cmd/internal/program -count 1 -timeout 60m -run NobodyLearns -v -oracle.pairs $(PAIRS) -oracle.timings $(TIMINGS)

.PHONY: mutate
mutate: ## try MUTATIONS inputs blindly on each of the main decoders: bodies, addresses, the provider's answers and tokens
	$(GO) test ./api ./internal/directory ./internal/beyondidentity ./internal/login -count 1 -timeout 60m -v \
		-run 'NoBodyIsAFault|NoTextIsAnAddress|NoAnswerIsTaken|NoTokenThatWasChanged|NoContentThatWasChanged|WhatPassesIsForThisFlow' -mutations $(MUTATIONS)

.PHONY: fuzz
fuzz: ## run every fuzz target, one after the other, FUZZTIME each
	@for package in $$(grep -lr '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u); do \
		for target in $$(grep -ho '^func Fuzz[A-Za-z0-9]*' $$package/*_test.go | sed 's/func //' | sort -u); do \
			echo "=== $$package $$target"; \
			$(GO) test $$package -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 50x || exit 1; \
		done; \
	done

.PHONY: lint
lint: ## run the linters and check the format (builds golangci-lint once, some minutes)
	$(tool) golangci-lint run $(PKG)
	$(tool) golangci-lint fmt --diff

.PHONY: lint-fix
lint-fix: ## format, and repair what the linters can repair by themselves
	$(tool) golangci-lint fmt
	$(tool) golangci-lint run --fix $(PKG)

# Pinned in tools/npm. The linter tells nobody of its use, and the generator is
# run where it does not take redocly.yaml for its own.
npm_tools := tools/npm/node_modules
npm_tool := REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true $(npm_tools)/.bin

$(npm_tools)/.package-lock.json: tools/npm/package-lock.json
	@for tool in node npm; do command -v $$tool >/dev/null || { echo "make: $$tool is missing (Debian: apt-get install nodejs npm)" >&2; exit 1; }; done
	cd tools/npm && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

.PHONY: contract-lint
contract-lint: $(npm_tools)/.package-lock.json ## lint the contract, and hold the TypeScript types and the example app against it (needs node and npm)
	$(npm_tool)/redocly lint openapi.yaml
	cd tools/npm && node_modules/.bin/openapi-typescript ../../openapi.yaml --check -o ../../examples/types/portico.d.ts
	$(npm_tool)/tsc -p examples/spa/jsconfig.json
	@# What the contract does not know has to be found: a check that cannot fail is none.
	@mkdir -p bin/unknown-field/spa bin/unknown-field/types
	@cp examples/spa/*.js examples/spa/jsconfig.json bin/unknown-field/spa/ && cp examples/types/portico.d.ts bin/unknown-field/types/
	@sed -i 's/receipt\.resend_after/receipt.resend_at/' bin/unknown-field/spa/app.js
	@if $(npm_tool)/tsc -p bin/unknown-field/spa/jsconfig.json >bin/unknown-field/tsc.txt || ! grep -q resend_at bin/unknown-field/tsc.txt; then \
		echo 'make contract-lint: a field that the contract does not know passed in the example app' >&2; exit 1; fi
	@rm -rf bin/unknown-field

.PHONY: types
types: $(npm_tools)/.package-lock.json ## write the TypeScript types of the contract anew (needs node and npm)
	cd tools/npm && node_modules/.bin/openapi-typescript ../../openapi.yaml -o ../../examples/types/portico.d.ts

.PHONY: docs-bundle
docs-bundle: ## fetch the documentation page's script anew, checked (needs npm)
	sh api/docs/fetch.sh

.PHONY: generate
generate: ## write the generated code anew
	$(GO) generate ./...

# Every file's hash before and after says more than `git diff`: it works on a
# tree with changes that are not committed yet, and it sees new files.
hashes = git ls-files -z --cached --others --exclude-standard | sort -zu | xargs -0 sha256sum 2>/dev/null || true

.PHONY: verify
verify: ## fail if generated code or a go.mod is not up to date
	$(GO) mod tidy -diff
	cd tools && $(GO) mod tidy -diff
	cd deploy/tools && $(GO) mod tidy -diff
	@command -v git >/dev/null || { echo 'make verify: git is needed (Debian: apt-get install git)' >&2; exit 1; }
	@before=$$($(hashes)); \
	[ -n "$$before" ] || { echo 'make verify: this is no git checkout' >&2; exit 1; }; \
	$(MAKE) --no-print-directory generate; \
	after=$$($(hashes)); \
	[ "$$before" = "$$after" ] || { \
		printf '%s\n' "$$before" "$$after" | sort | uniq -u | sed 's/^[0-9a-f]* */changed: /' | sort -u >&2; \
		echo 'make verify: generated code was not up to date; it is now: commit it' >&2; \
		exit 1; \
	}

.PHONY: vuln
vuln: ## look for known vulnerabilities in what Portico calls (asks vuln.go.dev)
	$(tool) govulncheck $(PKG)

.PHONY: clean
clean: ## remove what make build made
	rm -rf bin

# Recipes are short on purpose: what grows beyond a few lines is a script in .ci or a Go program.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -s -w -X main.version=$(VERSION)
BINARY := bin/linuxguard-bridge

# Tools are pinned here and built once into the ignored cache.
GOLANGCI_LINT_VERSION := v2.15.0
GOLANGCI_LINT := .cache/tools/golangci-lint-$(GOLANGCI_LINT_VERSION)/golangci-lint

# Counterparts that bring dependencies of their own are modules of their own, built by the tests.
NESTED := $(patsubst %/go.mod,%,$(wildcard bridge/bridgetest/*/go.mod))

# go test with a limit for the whole run, which says at the limit what it was waiting for.
GOTEST := $(GO) run ./bridge/bridgetest/gotest

FUZZTIME ?= 15s

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the static binary bin/linuxguard-bridge
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BINARY) ./cmd/linuxguard-bridge

.PHONY: demo
demo: build ## run the bridge on throw-away secrets, send it samples and show what became of each
	$(BINARY) demo

.PHONY: demo-ha
demo-ha: counterparts ## two bridges on one PostgreSQL with a standby: kill a bridge, then the primary, and show what became of every signal
	$(GO) test -tags demo -count=1 -timeout 10m -run '^TestDemo$$' ./bridge/bridgetest/e2e -v | grep -v -e '^=== ' -e '^--- ' -e '_test.go:' -e '^PASS' -e '^ok '

.PHONY: test
test: counterparts ## all tests with the race detector, real rsyslog, syslog-ng and HEC receiver included (15 minutes at most)
	@.ci/need-cc
	$(GOTEST) -limit 15m -- -race ./...

.PHONY: test-long
test-long: counterparts ## the long forms (500 kills, more rounds, long fuzzing; what was survived in .cache/survived.md); before a release
	@.ci/need-cc
	@rm -f .cache/survived.md
	LINUXGUARD_LONG=1 LINUXGUARD_SURVIVED=$(abspath .cache)/survived.md $(GOTEST) -limit 12h -- -race -count=1 ./...
	@sort .cache/survived.md
	FUZZTIME=5m .ci/fuzz
	LINUXGUARD_LONG=1 $(MAKE) test-package

.PHONY: counterparts
counterparts: ## fetch and build the programs that the tests talk to, print their versions (minutes, the first time)
	@$(GO) version
	@$(GO) run ./bridge/bridgetest/counterparts/fetch

.PHONY: lint
lint: $(GOLANGCI_LINT) ## golangci-lint, and go vet on the nested modules
	$(GOLANGCI_LINT) run ./...
	for dir in $(NESTED); do (cd $$dir && $(GO) vet ./...); done

$(GOLANGCI_LINT):
	GOBIN=$(abspath $(@D)) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME each (15s)
	FUZZTIME=$(FUZZTIME) .ci/fuzz

.PHONY: bench
bench: build counterparts ## the built binary against its floors (report in .cache/bench), then every Go benchmark; on a quiet machine, half an hour at most
	$(GO) run ./contrib/bench -postgres $(BENCHFLAGS)
	LINUXGUARD_BENCH_DIR=$(abspath .cache) $(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: package
package: ## .deb and .rpm for amd64 and arm64 into dist, the same byte for byte from the same sources
	packaging/build

.PHONY: test-package
test-package: ## install, upgrade, kill and purge the packages in booted Debian 12 and 13 containers (root; Debian only)
	CGO_ENABLED=0 $(GO) test -tags packages -count=1 -timeout 45m ./packaging/test

.PHONY: clean
clean: ## remove bin, dist and the cache of tools and counterparts
	rm -rf bin dist .cache

# Two commands matter: `make run` and `make test`. Both install what is missing.
SHELL := /bin/bash
GO ?= go
export CGO_ENABLED ?= 0
BIN := bin/moat
LDFLAGS := -s -w

# Debian packages: what a run needs, what the tests need besides.
RUN_PACKAGES := ca-certificates curl nodejs python3
TEST_PACKAGES := $(RUN_PACKAGES) npm awscli chromium postgresql gcc libc6-dev
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: help run build test test-go test-race test-e2e bench bench-gateway bench-novector bench-policy fmt vet generate deps-run deps-test clean

help:
	@echo 'make run      install what is missing, build, and run the example: moat dev examples/courses/template.yaml'
	@echo 'make test     install what the tests need, run all of them'
	@echo 'make build    build bin/moat'
	@echo 'make bench    measure; prints a table with the machine'"'"'s description'
	@echo 'make bench-gateway  measure the gateway beside HAProxy, nginx, Caddy and Go'"'"'s reverse proxy'
	@echo 'make bench-policy  measure policy decisions beside cedar-go and OPA'
	@echo 'make bench-novector  measure sign-ins as a processor without AVX-512 IFMA has them'
	@echo 'make generate write the generated files anew'

run: deps-run build
	./$(BIN) dev examples/courses/template.yaml

build: deps-go
	@mkdir -p bin
	$(GO) build -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/moat

test: deps-test build vet test-go test-e2e

vet:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'these files are not gofmt-ed'; exit 1; }
	$(GO) vet ./...

# The race detector needs cgo; everything else is built without. It also makes pools forget, so
# that limits of allocations are checked apart. Processors without AVX-512 IFMA have arithmetic of their own (tag novector).
test-go: deps-go
	CGO_ENABLED=1 $(GO) test -race -timeout 20m ./...
	$(GO) test -run '[Aa]lloc' ./internal/gateway ./internal/http1 ./internal/wire
	$(GO) test -tags novector ./internal/pure/montgomery ./internal/pure/srp ./internal/pure/token ./internal/pkcs1

test-e2e: build
	cd e2e && ./run

bench: deps-test build
	$(GO) run ./bench

# The peers are Debian's; one that is missing is named and left out.
bench-gateway: deps-test build
	@PACKAGES='haproxy nginx-light caddy' COMMANDS='/usr/sbin/haproxy /usr/sbin/nginx caddy' SUDO='$(SUDO)' ./scripts/install
	$(GO) run ./bench -only gateway -picture bench/out/gateway.svg

bench-novector: deps-test
	@mkdir -p bench/out
	$(GO) build -tags novector -ldflags '$(LDFLAGS)' -o bench/out/moat-novector ./cmd/moat
	$(GO) run -tags novector ./bench -only signin -binary bench/out/moat-novector

# A module of its own: Moat does not depend on what it is measured against.
bench-policy: deps-go
	cd bench/policy && $(GO) run .

generate:
	$(GO) generate ./...
	$(GO) test ./internal/server -run TestCoverage -update

.PHONY: deps-go
deps-go:
	@command -v $(GO) >/dev/null || { echo 'Go is needed (1.26 or newer): see go.dev/doc/install'; exit 1; }

deps-run: deps-go
	@PACKAGES='$(RUN_PACKAGES)' COMMANDS='curl node python3' SUDO='$(SUDO)' ./scripts/install

deps-test: deps-go
	@PACKAGES='$(TEST_PACKAGES)' COMMANDS='curl node npm python3 gcc /usr/bin/aws /usr/bin/chromium* /usr/lib/postgresql/*/bin/initdb' SUDO='$(SUDO)' ./scripts/install

clean:
	rm -rf bin .moat bench/out e2e/node_modules

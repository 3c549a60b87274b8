.DEFAULT_GOAL := help
SHELL := /bin/bash

VERSION       ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS       := -s -w -X github.com/balanceq/balanceq/internal/cli/command.version=$(VERSION)
GO            ?= go
GOLANGCI      ?= golangci-lint
COMPOSE       ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)
FUZZTIME      ?= 10s
CHAOS         ?= --short
PACKAGES      ?= ./...
# Most tests wait and leave the cores to others; those of the program take longest, so they come first. Under the race
# detector they compute more than they wait.
GOTEST        := -p 3 -shuffle=on -timeout 15m
RACETEST      := -race -p 2 -shuffle=on -timeout 20m

help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

demo: ## Watch the whole thing work, in under a minute, with nothing but Go
	@$(GO) run ./cmd/balanceq-demo

test: ## Run every test: against Kafka in a container where there is an engine, else an embedded broker
	@$(GO) run ./tools/testrun -- $(GOTEST) ./e2e $(PACKAGES)

test-race: ## The same under the race detector, the program included: twice the time, and it needs a C compiler
	@$(GO) run ./tools/testrun -- $(RACETEST) ./e2e $(PACKAGES)

test-unit: ## Only the tests that need no broker, in half a minute
	@$(GO) run ./tools/testrun -unit -- $(GOTEST) $(PACKAGES)

# What does not depend on the broker's version says so (kafkatest.OnlyOnce) and is skipped here.
test-integration: ## Once more on another broker (BALANCEQ_TEST_KAFKA_IMAGE): only what depends on its version
	@BALANCEQ_TEST_AGAIN=1 $(GO) run ./tools/testrun -- -count=1 -p 2 -shuffle=on -timeout 15m \
	  ./e2e ./internal/kafkatest ./internal/cli/... ./kafkawire/... ./producer/... ./consumer/... ./deadletter/...

build: ## Build the programs into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

image: ## Build the container image balanceq:local
	CGO_ENABLED=0 GOOS=linux $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o dist/ ./cmd/balanceq ./cmd/cms-sim
	docker build -t balanceq:local .

up: image ## Start Kafka, the simulator and balanceq with compose
	$(COMPOSE) up -d
	@echo
	@echo "Kafka 127.0.0.1:9092   simulator 127.0.0.1:8090   balanceq http://127.0.0.1:8080/readyz"
	@echo "Send a request:  go run ./cmd/balanceq request --contract 70001 --codes AVAILABLE,BLOCKED --wait"

down: ## Stop what make up started, and delete its data
	$(COMPOSE) down -v

check: lint test-race ## Everything that has to be green before a commit

lint: ## Static checks
	$(GO) mod tidy -diff
	$(GO) vet ./...
	$(GOLANGCI) run
	$(GO) run ./tools/words

words: ## Look for retired words, in names, comments and documents (tools/words says what to write instead)
	@$(GO) run ./tools/words

fuzz: ## Fuzz every decoder for FUZZTIME each
	@grep -rl '^func Fuzz' --include=*_test.go . | xargs -n 1 dirname | sort -u | xargs -P 2 -I PKG $(SHELL) -ec '\
	  for f in $$(sed -n "s/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p" PKG/*_test.go); do \
	    echo "PKG $$f"; $(GO) test -run "^$$" -fuzz "^$$f$$" -fuzztime $(FUZZTIME) PKG; done'

bench: build ## Measure the program against an embedded broker (BROKERS=… for a real one)
	$(GO) run ./tools/bench --latency 0  $(if $(BROKERS),--brokers $(BROKERS))
	$(GO) run ./tools/bench --latency 20ms $(if $(BROKERS),--brokers $(BROKERS))
	$(GO) run ./tools/bench --mode rate --rate 300 $(if $(BROKERS),--brokers $(BROKERS))
	$(GO) run ./tools/bench --mode rate --rate 2000 $(if $(BROKERS),--brokers $(BROKERS))

chaos: build ## Kill, pause and cut off workers, Kafka and the CMS, then check that every promise was kept (CHAOS= its flags)
	$(GO) run ./tools/chaos $(CHAOS) $(if $(BROKERS),--brokers $(BROKERS))

recording: ## Record the demo again: docs/demo.svg, from a run of it
	$(GO) build -o bin/ ./cmd/balanceq-demo
	$(GO) run ./tools/record --columns 98 --poster 10s --title 'make demo: requests go through an outage of the CMS' docs/demo.svg bin/balanceq-demo

docs: ## Bring the generated parts of the documents up to date
	$(GO) test ./internal/cli -run TestDocs -update

.PHONY: help demo test test-race test-unit test-integration build image up down check lint words fuzz bench chaos recording docs

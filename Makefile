.DEFAULT_GOAL := help
SHELL := /bin/bash

VERSION       ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GO            ?= go
GOLANGCI      ?= golangci-lint
COMPOSE       ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)
FUZZTIME      ?= 20000x
CHAOS         ?= --short
PACKAGES      ?= ./...
MICRO         ?= .
COUNT         ?= 10
BENCHED       := ./schemas ./kafkawire ./consumer ./producer ./processor ./cmsclient/...
# Most tests wait and leave the cores to others; those of the program take longest, so they come first. Under the race
# detector they compute more than they wait.
GOTEST        := -p 3 -shuffle=on -timeout 15m
RACETEST      := -race -p 2 -shuffle=on -timeout 20m

help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

demo: ## Watch the whole thing work, in under a minute, with nothing but Go (ARGS=--keep leaves it running)
	@[ -x bin/balanceq-demo ] || echo "Building balanceq-demo; the first time that takes two minutes or so …"
	@$(GO) build -o bin/ ./cmd/balanceq-demo
	@bin/balanceq-demo $(ARGS)

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
	@VERSION='$(VERSION)' tools/release/build.sh -o bin/ ./cmd/...

image: ## Build the container images balanceq:local and cms-sim:local (GO_IMAGE=… where golang's cannot be had)
	@VERSION='$(VERSION)' tools/release/image.sh balanceq balanceq:local
	@VERSION='$(VERSION)' tools/release/image.sh cms-sim cms-sim:local

release: ## Make archives, checksums, SBOMs and licences in dist/ for VERSION, signed with COSIGN_KEY: docs/releasing.md
	@VERSION='$(VERSION)' tools/release/release.sh

release-check: ## Build twice, run the images, compare the SBOMs, verify and break the signature
	@.ci/release

rename: ## Give the module another path, where you host it: make rename MODULE=git.example.com/payments/balanceq
	@tools/release/rename.sh '$(MODULE)'

importer: ## Install the commands and import the client as other modules do, from a module proxy of files
	@.ci/importer

up: image ## Start Kafka, the simulator and balanceq with compose
	$(COMPOSE) up -d
	@echo
	@echo "Kafka 127.0.0.1:9092   simulator 127.0.0.1:8090   balanceq http://127.0.0.1:8080/"
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

# In inputs, not in seconds: when the time is up, Go 1.26 now and then calls that a failure (golang/go#75804).
fuzz: ## Fuzz every decoder with FUZZTIME inputs each
	@grep -rl '^func Fuzz' --include=*_test.go . | xargs -n 1 dirname | sort -u | xargs -P 2 -I PKG $(SHELL) -ec '\
	  for f in $$(sed -n "s/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p" PKG/*_test.go); do \
	    echo "PKG $$f"; $(GO) test -run "^$$" -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s PKG; done'

bench: build ## Measure the program against an embedded broker (BROKERS=… for a real one)
	$(GO) run ./tools/bench --latency 0  $(if $(BROKERS),--brokers $(BROKERS))
	$(GO) run ./tools/bench --latency 20ms $(if $(BROKERS),--brokers $(BROKERS))
	$(GO) run ./tools/bench --mode rate --rate 300 $(if $(BROKERS),--brokers $(BROKERS))
	$(GO) run ./tools/bench --mode rate --rate 2000 $(if $(BROKERS),--brokers $(BROKERS))

# -short: without the benchmarks of a whole broker. The files of two trees are for benchstat, docs/development.md.
bench-micro: ## Measure the parts of a record's way, COUNT times each, into bin/micro.txt (MICRO= which, by name)
	@mkdir -p bin
	$(GO) test -short -run '^$$' -bench '$(MICRO)' -benchmem -count $(COUNT) $(BENCHED) | tee bin/micro.txt

PEERS     ?= all
ROUNDS    ?= 3
SCENARIOS ?= batch-0,batch-20,rate-300,rate-2000
TAKES     ?= 5s
bench-peers: build ## Compare it with other libraries (PEERS, ROUNDS, SCENARIOS, TAKES); all of them make docs/benchmarks.md
	$(GO) -C tools/bench/peers build -o ../../../bin/peers/ ./...
	$(GO) build -o bin/peers/bench ./tools/bench
	@cd tools/bench/peers/kafkajs && { npm ci --no-audit --no-fund || echo "without npm, kafkajs is left out"; }
	bin/peers/bench --peers $(PEERS) --rounds $(ROUNDS) --scenarios $(SCENARIOS) --seconds $(TAKES) \
	  $(if $(filter all,$(PEERS)),--report docs/benchmarks.md)

chaos: build ## Kill, pause and cut off workers, Kafka and the CMS, then check that every promise was kept (CHAOS= its flags)
	$(GO) run ./tools/chaos $(CHAOS) $(if $(BROKERS),--brokers $(BROKERS))

recording: ## Record the demo again: docs/demo.svg, from a run of it
	$(GO) build -o bin/ ./cmd/balanceq-demo
	$(GO) run ./tools/record --columns 98 --poster 10s --title 'make demo: requests go through an outage of the CMS' docs/demo.svg bin/balanceq-demo

monitoring: ## Check alert rules, dashboard and metrics by Prometheus, which is got from Debian where it is missing
	@.ci/prometheus

traces: ## Check traces with OpenTelemetry's SDK for Python, which is got from PyPI where it is missing
	@.ci/traces

snippets: ## Run docs/snippets.md, Spring's ReplyingKafkaTemplate and CloudEvents' SDKs against Kafka (JDK, Maven, Python, Node)
	@.ci/snippets

conformance: ## Hold schemas/v1/cases.json against ajv, Python's jsonschema and Java's networknt (Node, Python, JDK, Maven)
	@.ci/conformance

asyncapi: ## Hold schemas/v1/asyncapi.yaml and docs/reference against AsyncAPI's parser and viewer, ajv and axe (Node, Chromium)
	@.ci/asyncapi

chart: ## Check the Helm chart and the manifests by Helm, Kubernetes's schemas and, where make apiserver built one, an API server
	@.ci/chart

apiserver: ## Build the Kubernetes control plane that make chart uses, once, in some 15 minutes
	@.ci/apiserver

manifests: ## Render deploy/kubernetes from the chart again
	@.ci/chart update

login: ## Check logins to Kafka by tokens with librdkafka, which is got from PyPI where it is missing
	@.ci/login

registry: ## Check schema registries' frames with Apicurio Registry and Confluent's serializers for Python (Maven, JDK 21, Python)
	@.ci/registry

systemd: ## Check the systemd unit with systemd's own tool, which is got from Debian where it is missing
	@.ci/systemd

docs: ## Bring the generated parts of the documents, and what the chart has from elsewhere, up to date
	$(GO) test ./internal/cli -run TestDocs -update
	cd tools/monitoring && $(GO) run .
	$(GO) run ./tools/asyncapi
	$(GO) test ./deploy/helm -run 'TestSchema|TestFiles' -update

.PHONY: help demo test test-race test-unit test-integration build image release release-check rename importer up down check lint words fuzz bench bench-micro bench-peers chaos recording monitoring traces snippets conformance asyncapi login registry systemd chart apiserver manifests docs

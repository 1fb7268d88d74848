# Everything a person types. `make help` lists it.
SHELL := /bin/sh
DEMO ?= pushgateway
export npm_config_update_notifier = false

.PHONY: help build demo test lint bench clean
help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' Makefile

node_modules/.package-lock.json: package.json package-lock.json */package.json
	@npm ci --loglevel=error
	@touch $@

build: node_modules/.package-lock.json ## install from the lock file, generate, check the native binary, compile
	@node scripts/check-native-binary.mjs
	@scripts/generate-grpc.sh
	@node operator/scripts/generate-types.mjs
	@node_modules/.bin/tsc -b

demo: build ## the fleet on this machine (Ctrl-C stops it); DEMO=storm: 2,000 clients, scale-up, a drain, a report
ifeq ($(DEMO),storm)
	@node scripts/demo.mjs storm
else
	@node scripts/demo.mjs $(DEMO)
endif

test: build ## everything: type check, lint, unit, property and integration tests on real peers
	@node scripts/test.mjs

lint: node_modules/.package-lock.json ## Biome: format and lint
	@node_modules/.bin/biome check --write .

bench: build ## ratios to the ws package, side by side in one run
	@node bench/run.mjs

clean: ## what build made
	@rm -rf */dist service/src/generated operator/src/generated

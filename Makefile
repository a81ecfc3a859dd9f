# The default target lists the others.
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
GO ?= go
FUZZTIME ?= 15s

.PHONY: help build up down test bench generate fuzz clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## put sallyport and sallyport-host into bin/
	@echo "Building sallyport and sallyport-host $(VERSION)$(if $(wildcard bin/sallyport),,; the first time takes a few minutes)."
	@GO=$(GO) VERSION=$(VERSION) scripts/build bin sallyport sallyport-host

up: build ## set everything up on this machine and open a first SSH session
	bin/sallyport up

down: ## stop what up started; make down PURGE=1 removes its data and AWS profile too
	@if [ ! -x bin/sallyport ]; then $(MAKE) --no-print-directory build; fi
	bin/sallyport down $(if $(PURGE),--purge)

test: ## install what the tests need, then run all of them
	scripts/test-prerequisites
	scripts/test

bench: build ## measure, beside a baseline measured in the same run
	scripts/test-prerequisites
	$(GO) run ./bench

generate: ## make the generated files again
	CGO_ENABLED=0 GOFLAGS=-trimpath $(GO) generate ./...
	CGO_ENABLED=0 $(GO) test -trimpath ./internal/controlplane -run TestOperationsPage -write

fuzz: ## run every fuzz target for FUZZTIME (15s), or those of PACKAGES
	scripts/fuzz $(FUZZTIME) $(PACKAGES)

clean: ## remove what build made
	rm -rf bin

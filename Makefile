# One name for everything a contributor does. Each target installs the Debian packages it needs when they are
# missing; Swift 6.3 is the only thing to install by hand.

SWIFT ?= swift
# Arguments for what a target runs: make demo ARGS=--once, make test ARGS="--filter HTTPTests".
ARGS ?=
# What `make image` calls the image.
IMAGE ?= fairlead
# How long `make fuzz` runs each target.
SECONDS_EACH ?= 60

# Linking the Swift standard library in keeps resident memory and start time small and needs no Swift where
# the program runs.
RELEASE = -c release --static-swift-stdlib --product fairlead
# Not empty: `make test` takes the build of `make strict`, as CI does.
STRICT ?=
# A warning, or an import that Package.swift does not declare, is an error. In a folder of its own: other flags
# would build everything anew for `make test` and back.
STRICT_PLACE = --scratch-path .build/strict
STRICT_BUILD = $(STRICT_PLACE) -Xswiftc -warnings-as-errors -Xcc -Wall -Xcc -Werror=all --explicit-target-dependency-import-check error
SOURCES = Sources Tests Package.swift
SCRIPTS = .ci/run .ci/packages .ci/image

.DEFAULT_GOAL := help
.PHONY: help build strict release test lint check format fuzz bench counts tables demo image clean swift

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

swift:
	@command -v $(SWIFT) >/dev/null || { \
	  echo "Swift 6.3 is missing. Install it from https://www.swift.org/install/linux" >&2; \
	  echo "(with swiftly: swiftly install 6.3), then run make again." >&2; exit 1; }
	@$(SWIFT) --version 2>/dev/null | grep -qE 'Swift version (6\.[3-9]|6\.[1-9][0-9]|[7-9])' || { \
	  echo "This Swift is too old; 6.3 is needed:" >&2; $(SWIFT) --version >&2; exit 1; }

build: swift ## debug build
	@.ci/packages build
	$(SWIFT) build $(ARGS)

strict: swift ## debug build of all with tests, warnings and undeclared imports being errors
	@.ci/packages build test
	$(SWIFT) build --build-tests $(STRICT_BUILD)

release: swift ## optimised build, Swift's libraries linked in: .build/release/fairlead
	@.ci/packages build
	$(SWIFT) build $(RELEASE)

test: swift ## all tests; ARGS="--filter HTTPTests" for some; STRICT=1 with the build of make strict
	@.ci/packages build test
	$(SWIFT) build --build-tests $(if $(STRICT),$(STRICT_BUILD))
	$(SWIFT) test --skip-build $(if $(STRICT),$(STRICT_PLACE)) $(ARGS)

lint: swift ## format of Swift files, shell scripts
	@.ci/packages check
	$(SWIFT) format lint --strict --parallel --recursive $(SOURCES)
	shellcheck $(SCRIPTS)

check: lint strict release ## lint, strict build, tidy tests, release build, counts of a request, with many routes too
	@.ci/packages bench
	$(SWIFT) test --skip-build $(STRICT_PLACE) --filter TidyTests
	benchmarks/counts.py
	benchmarks/tables.py --counts

format: swift ## rewrites Swift files as `make check` wants them
	$(SWIFT) format format --in-place --parallel --recursive $(SOURCES)

fuzz: swift ## every fuzz target for a minute; SECONDS_EACH=600 for longer
	@.ci/packages build
	cd Tests/Fuzz && $(SWIFT) build -c release
	cd Tests/Fuzz && for name in $$(ls Targets); do \
	  mkdir -p .build/found/$$name && echo "fuzzing $$name" && .build/release/Fuzz$$name \
	    -max_total_time=$(SECONDS_EACH) -max_len=4096 -dict=http.dict -artifact_prefix=crashes/$$name/ \
	    -verbosity=0 -print_final_stats=1 $(ARGS) .build/found/$$name corpus/$$name || exit 1; \
	done

bench: release ## compares with Envoy, HAProxy and nginx, ten minutes; ARGS="--rows lane" for less
	@.ci/packages bench
	benchmarks/run.py $(ARGS)

counts: release ## system calls, allocations and instructions of one request, against their limits
	@.ci/packages bench
	benchmarks/counts.py $(ARGS)

tables: release ## ten thousand routes and lanes: instructions of choosing, against their limit, and reloads
	@.ci/packages bench
	benchmarks/tables.py $(ARGS)

demo: release ## the whole story on loopback; ARGS=--once ends after the tour
	.build/release/fairlead demo $(ARGS)

image: ## container image $(IMAGE), by docker, podman or buildah
	.ci/image $(IMAGE) $(ARGS)

clean: ## removes what was built
	rm -rf .build Tests/Fuzz/.build

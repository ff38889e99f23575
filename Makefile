# Every target installs what it needs and this machine lacks (Debian 12).
.PHONY: help build run test unit e2e bench asan tsan fuzz lint format clean

help: ## this list
	@awk -F':.*## ' '/^[a-z0-9_-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## the program, at build/release/sluice
	@scripts/install build
	@cmake --preset release >/dev/null
	@cmake --build build/release

run: build ## build and start in the foreground: proxy 8000, admin 8001, status 8100
	@build/release/sluice run

test: ## everything: unit tests under ASan and UBSan, end-to-end tests against the release
	@scripts/install test
	@scripts/test unit e2e

unit: ## unit tests under ASan and UBSan
	@scripts/install test
	@scripts/test unit

e2e: ## end-to-end tests against the release
	@scripts/install test
	@scripts/test e2e

bench: ## beside nginx and HAProxy: CPU per request, TLS, HTTP/2, bodies, WebSocket; memory; micro-benchmarks
	@scripts/install bench
	@bench/run
	@bench/protocols
	@bench/memory

asan: ## unit and end-to-end tests under ASan and UBSan, on both event loops
	@scripts/install test
	@scripts/test unit e2e-asan e2e-asan-uring

tsan: ## unit and end-to-end tests under TSan
	@scripts/install test
	@scripts/test unit-tsan e2e-tsan

fuzz: ## every fuzz target for a minute (SECONDS=n for longer)
	@scripts/install fuzz
	@fuzz/run

lint: ## format and clang-tidy
	@scripts/install lint
	@scripts/lint

format: ## rewrite sources as .clang-format says
	@scripts/install lint
	@find src fuzz -name '*.h' -o -name '*.cc' | xargs clang-format -i

clean:
	@rm -rf build

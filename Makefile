# A thin front for meson. `make help` lists the targets.
DEPS ?= $(if $(HYPURA_DEPS),$(HYPURA_DEPS),$(CURDIR)/.deps)
BUILD ?= build
MESON_TEST = meson test --print-errorlogs --no-rebuild
PREFIX ?= /usr/local

.PHONY: all libs test-libs demo test asan tsan fuzz cross cross-try lint bench install clean help

all: $(BUILD)/build.ninja ## build build/hypura
	@ninja -C $(BUILD)

# meson is set up once; where the libraries come from decides whether -Ddeps is given.
setup = tools/setup.sh tools; deps=$$(tools/setup.sh $(1) "$(DEPS)") || exit 1; [ "$$deps" != system ] || deps=; \
	[ -e $(2)/build.ninja ] || meson setup $(2) -Ddeps="$$deps" --prefix=$(PREFIX) $(3)

$(BUILD)/build.ninja:
	@$(call setup,libs,$(BUILD))

demo: $(BUILD)/build.ninja ## fetch a small real model and let it answer
	@ninja -C $(BUILD) hypura tools/make-model
	@tools/demo.sh $(BUILD)

test: ## set everything up and run all tests
	@$(call setup,tests,$(BUILD))
	@ninja -C $(BUILD)
	@tools/setup.sh browser
	@tests/run.sh $(BUILD)

asan: ## unit tests under the address and undefined-behaviour sanitizers
	@$(call setup,tests,$(BUILD)-asan,-Db_sanitize=address$(comma)undefined -Db_lundef=false)
	@ninja -C $(BUILD)-asan
	@$(fixed_addresses) tests/run.sh $(BUILD)-asan --suite unit

tsan: ## unit and server tests under the thread sanitizer
	@$(call setup,tests,$(BUILD)-tsan,-Db_sanitize=thread -Db_lundef=false)
	@ninja -C $(BUILD)-tsan
	@$(fixed_addresses) tests/run.sh $(BUILD)-tsan --suite unit --suite wire

fuzz: ## build the libFuzzer targets and run each for a minute
	@[ -n "$$(command -v clang)" ] || { echo "make fuzz needs clang"; exit 1; }
	@export CC=clang; $(call setup,libs,$(BUILD)-fuzz,-Dfuzz=true -Db_sanitize=address$(comma)undefined -Db_lundef=false)
	@tests/fuzz/run.sh $(BUILD)-fuzz

cross: ## build for 64-bit ARM, Linux and macOS, with zig
	@tools/cross.sh aarch64-macos
	@tools/cross.sh aarch64-linux

cross-try: ## run the Linux build for 64-bit ARM under an emulator
	@tools/cross.sh aarch64-linux try

lint: all ## clang-tidy, cppcheck, shellcheck, the format, who includes whom, names
	@tools/lint.sh $(BUILD)

bench: ## the short set of benchmarks, under ten minutes
	@$(call setup,tests,$(BUILD))
	@ninja -C $(BUILD)
	@HYPURA_DEPS="$(DEPS)" bench/short.sh $(BUILD)

install: all ## install under PREFIX; DESTDIR is honoured
	@meson install -C $(BUILD) --no-rebuild

clean: ## remove the build folders, keep libraries and models
	@rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan $(BUILD)-fuzz

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 18

comma := ,
# Where the kernel scatters addresses widely, they fall into what a sanitizer keeps for itself.
fixed_addresses = $$(! setarch -R true 2>/dev/null || echo setarch -R)

# SPDX-License-Identifier: Apache-2.0
# `make help` lists the targets.

PREFIX ?= /usr/local
DESTDIR ?=
# Where systemd units go, and the group of the web server, which may use the responder's socket.
UNITDIR ?= $(PREFIX)/lib/systemd/system
WEB_GROUP ?= www-data
SERVER_PORT ?= 8080
UI_PORT ?= 8081
RUN_DIR ?= run
CC ?= cc
# release: what is installed. debug: with crash points. asan, tsan: the same under sanitizers.
FLAVOUR ?= release

B := build/$(FLAVOUR)
# V=1 shows the commands.
Q := $(if $(V),,@)
VERSION := $(shell cat VERSION)
# A source archive brings the file.
GIT_SHA := $(shell cat GIT_SHA 2>/dev/null || git rev-parse --short HEAD 2>/dev/null || echo unknown)

PKGS_CORE := jansson yaml-0.1 libcrypto libssl sqlite3 expat hiredis
CPPFLAGS += -I. -D_GNU_SOURCE $(shell pkg-config --cflags $(PKGS_CORE) 2>/dev/null)
CFLAGS_COMMON := -std=c17 -pthread -fno-omit-frame-pointer -Wall -Wextra -Wpedantic -Wconversion \
	-Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
HARDEN := -fstack-protector-strong -fPIE -fstack-clash-protection
LDFLAGS_COMMON := -pthread -pie -Wl,-z,relro,-z,now
LIBS := $(shell pkg-config --libs $(PKGS_CORE) 2>/dev/null)

CFLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2
CFLAGS_debug := -O1 -g -D_FORTIFY_SOURCE=2 -DDEX_TESTING
CFLAGS_asan := -O1 -g -DDEX_TESTING -fsanitize=address,undefined -fno-sanitize-recover=undefined
CFLAGS_tsan := -O1 -g -DDEX_TESTING -fsanitize=thread
CFLAGS_ALL := $(CFLAGS_COMMON) $(HARDEN) $(CFLAGS_$(FLAVOUR)) $(CFLAGS)
LDFLAGS_ALL := $(LDFLAGS_COMMON) $(filter -fsanitize%,$(CFLAGS_$(FLAVOUR))) $(LDFLAGS)

LIB_SRC := $(sort $(wildcard core/*.c core/*/*.c backends/*.c))
FCGI_SRC := $(sort $(wildcard fcgi/*.c fcgi/*/*.c))
DELIVER_SRC := $(sort $(wildcard tools/*.c))
TESTLIB_SRC := $(sort $(wildcard tests/lib/*.c))
TEST_SRC := $(sort $(wildcard tests/unit_*.c tests/contract_*.c))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))

obj = $(patsubst %.c,$(B)/%.o,$(1))
LIB := $(B)/libdex.a
# The responder without its main, for unit tests of the HTTP side and for fuzz targets.
FCGI_LIB := $(B)/libdexfcgi.a
TESTLIB := $(B)/libdextest.a
BINS := $(B)/dex-upload $(B)/dex-deliver
TESTS := $(patsubst tests/%.c,$(B)/tests/%,$(TEST_SRC))
FUZZERS := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(FUZZ_SRC))

.PHONY: all
all: $(BINS) ## build the two programs into build/release

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo '  CC   $<'
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(B)/core/version.o: CPPFLAGS += -DDEX_VERSION='"$(VERSION)"' -DDEX_GIT_SHA='"$(GIT_SHA)"'
$(B)/core/version.o: VERSION $(wildcard .git/HEAD .git/logs/HEAD)

# The templates of the upload page are part of the program.
UI_PAGES := $(sort $(wildcard fcgi/ui/pages/*.html))
$(B)/fcgi/ui/page_sources.c: fcgi/ui/embed.sh $(UI_PAGES)
	@mkdir -p $(@D)
	$(Q)fcgi/ui/embed.sh $(UI_PAGES) >$@
$(B)/fcgi/ui/page_sources.o: $(B)/fcgi/ui/page_sources.c Makefile
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(LIB): $(call obj,$(LIB_SRC))
$(FCGI_LIB): $(call obj,$(filter-out fcgi/main.c,$(FCGI_SRC))) $(B)/fcgi/ui/page_sources.o
$(TESTLIB): $(call obj,$(TESTLIB_SRC))
$(LIB) $(FCGI_LIB) $(TESTLIB):
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(B)/dex-upload: $(B)/fcgi/main.o $(FCGI_LIB) $(LIB)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS) -lfcgi
$(B)/dex-deliver: $(call obj,$(DELIVER_SRC)) $(LIB)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(B)/tests/%: $(B)/tests/%.o $(TESTLIB) $(FCGI_LIB) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS) -lfcgi -lcmocka

$(B)/bench/%: $(B)/tests/bench/%.o $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

# Fuzz targets as plain programs that replay their corpus; `make fuzz` builds them for libFuzzer.
$(B)/fuzz/%: $(B)/tests/fuzz/%.o $(B)/tests/fuzz/replay.o $(FCGI_LIB) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS) -lfcgi

# Objects are kept: the next run need not compile them again.
.SECONDARY:

.PHONY: tests-build
tests-build: $(BINS) $(TESTS) $(FUZZERS)

# Scripts and styles of the upload page: files of the web server. They need Node.js and npm once; a source archive
# brings them.
UI := $(if $(wildcard ui/ui.js),ui,build/ui)
.PHONY: ui
ui: $(UI)/ui.js ## build the scripts and styles of the upload page into build/ui
build/ui/ui.js: fcgi/ui/build.sh $(wildcard fcgi/ui/assets/*)
	@echo '  UI   $(@D)'
	$(Q)fcgi/ui/build.sh $(@D)

UI_PACKAGES := $(if $(wildcard ui/ui.js),,ui)
.PHONY: packages
packages: ## install the Debian packages that building and running need
	@deploy/install-packages.sh build run $(UI_PACKAGES)

.PHONY: run
run: ## build and serve on SERVER_PORT and UI_PORT, data below RUN_DIR; Ctrl-C ends it
	@deploy/install-packages.sh build run $(UI_PACKAGES)
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory ui || echo 'make run: the API works, but no files can be sent from the page' >&2
	@DEX_BIN='$(B)' UI_ASSETS='$(UI)' SERVER_PORT='$(SERVER_PORT)' UI_PORT='$(UI_PORT)' RUN_DIR='$(RUN_DIR)' exec deploy/run.sh

.PHONY: test
test: ## install what tests need and run every test
	@deploy/install-packages.sh build run test deb $(UI_PACKAGES)
	@$(MAKE) --no-print-directory ui
	@tests/run.sh

.PHONY: bench
bench: ## measure against nginx and @tus/server, side by side, as ratios
	@deploy/install-packages.sh build run test
	@$(MAKE) --no-print-directory all $(B)/bench/load
	@DEX_BIN='$(B)' tests/bench/run.sh

C_FILES = $(shell git ls-files '*.c' '*.h')
.PHONY: lint
lint: ## clang-format check, clang-tidy, cppcheck
	@deploy/install-packages.sh build lint
	$(Q)clang-format --dry-run --Werror $(C_FILES)
	$(Q)cppcheck --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
		--quiet -j2 -I. -D_GNU_SOURCE -DDEX_VERSION='""' -DDEX_GIT_SHA='""' \
		--suppressions-list=.cppcheck core backends fcgi tools
	$(Q)clang-tidy --quiet $(LIB_SRC) $(FCGI_SRC) $(DELIVER_SRC) -- -std=c17 $(CPPFLAGS) \
		-DDEX_VERSION='""' -DDEX_GIT_SHA='""'

.PHONY: fuzz
FUZZ_SECONDS ?= 60
fuzz: ## run every fuzz target with libFuzzer for FUZZ_SECONDS each
	@deploy/install-packages.sh build lint
	@tests/fuzz/run.sh $(FUZZ_SECONDS)

.PHONY: docs
docs: all ## refresh what is made from the settings table: .env.example, README.md
	@tests/check_config_docs.sh --refresh $(B)/dex-upload

.PHONY: differences
differences: all ui ## refresh the table of deploy/web-servers.md, from what the web servers here do
	@deploy/install-packages.sh run test
	@DEX_BIN=$(B) tests/e2e/write_differences.py

.PHONY: man
man: $(B)/dex-upload ## make the manual page of the settings, build/man/dex-upload.conf.5; the others are in man/
	@mkdir -p build/man
	$(Q)man/conf-page.sh $< >build/man/dex-upload.conf.5

INSTALL = DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' UNITDIR='$(UNITDIR)' WEB_GROUP='$(WEB_GROUP)' deploy/install.sh
.PHONY: install
install: all ui ## install programs, units, configurations, documents (DESTDIR, PREFIX, UNITDIR, WEB_GROUP)
	$(Q)$(INSTALL) install $(B) $(UI)

.PHONY: uninstall
uninstall: ## remove what install has put there
	$(Q)$(INSTALL) uninstall

.PHONY: dist
dist: ui ## make a source archive in build/dist that can be built without git, Node.js and npm
	$(Q)deploy/dist.sh $(UI) build/dist

.PHONY: deb
deb: ui ## build the Debian package in build/deb
	@deploy/install-packages.sh build deb
	$(Q)deploy/deb.sh $(UI) build/deb

.PHONY: image
image: ui ## build the container image dex-upload:VERSION (CONTAINER=podman|docker, BASE)
	$(Q)deploy/image.sh $(UI) build/image

.PHONY: clean
clean: ## remove build/
	rm -rf build

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14
	@echo
	@echo 'Variables: SERVER_PORT UI_PORT RUN_DIR (run), DESTDIR PREFIX UNITDIR WEB_GROUP (install), CONTAINER BASE (image), FLAVOUR=release|debug|asan|tsan, CC'

-include $(shell find $(B) -name '*.d' 2>/dev/null)

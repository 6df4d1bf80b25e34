#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Run every test and count. The last line is "N passed, N failed" (", N skipped" if any were); the exit
# status is 1 when something failed. One line per suite; what failed shows its output.
#
#   tests/run.sh [SUITE...]   only these: unit fuzz check e2e valgrind tsan
#
# DEX_TEST_BUILD (build): where to build; other variables: tests/e2e/run.py --help.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
root=$PWD
out=${DEX_TEST_BUILD:-build}
asan=$out/asan debug=$out/debug tsan=$out/tsan
results=$(mktemp -d)
services=''
trap end EXIT
trap 'exit 130' INT TERM
wanted=" ${*:-unit fuzz check e2e valgrind tsan} "

# A leak report must not get lost with the output of the test before it.
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=0:exitcode=66

end() {
  if [ -n "$services" ]; then
    kill "$services"
    wait "$services"
  fi
  rm -rf "$results"
}

# The programs refuse variables with their prefix that they do not know.
plainly() {
  env -u DEX_TEST_BUILD -u DEX_TEST_ROUNDS -u DEX_TEST_SERVERS -u DEX_TEST_LOAD_SECONDS \
    -u DEX_TEST_DELIVERIES -u DEX_TEST_NAMES -u DEX_TEST_KIDS -u DEX_TEST_S3 -u DEX_TEST_AZURE -u DEX_TEST_PACKAGES \
    -u DEX_TEST_CONTAINERS -u DEX_TEST_EVENTS -u DEX_TEST_BUS_DOWN -u DEX_BIN "$@"
}

# The services of the contract tests; $results/services tells where they are reached. A service that
# does not start is a failure: the tests that lack it would only be skipped.
start_services() {
  local log=$results/services.log
  /usr/bin/python3 tests/services/start.py "$results/services" > "$log" 2>&1 &
  services=$!
  while [ ! -e "$results/services" ]; do
    if ! kill -0 "$services" 2> "$results/gone"; then
      services=''
      report 'services of the contract tests' 0 1 0 $SECONDS "$log"
      return
    fi
    sleep 0.1
  done
}

chosen() {
  [[ $wanted == *" $1 "* ]]
}

# NAME PASSED FAILED SKIPPED SECONDS LOG
report() {
  local line="$1: $2 passed, $3 failed"
  [ "$4" -eq 0 ] || line+=", $4 skipped"
  # One write, so that two suites at once do not mix their lines.
  if [ "$3" -gt 0 ]; then
    printf '%s\n%s (%d s)\n' "$(sed 's/^/    /' "$6")" "$line" "$5"
  else
    printf '%s (%d s)\n' "$line" "$5"
  fi
  echo "$2 $3 $4" >> "$results/counts.$BASHPID"
}

# Counts of a cmocka program from its output and exit status, as "PASSED FAILED SKIPPED".
count_cmocka() { # LOG STATUS
  local passed failed skipped
  passed=$(grep -c '^\[       OK \]' "$1")
  failed=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) test(s).*/\1/p' "$1" | paste -sd+ | bc_or_0)
  skipped=$(sed -n 's/^\[  SKIPPED \] \([0-9]*\) test(s).*/\1/p' "$1" | paste -sd+ | bc_or_0)
  # A crash, a leak or a test program without tests is a failure that cmocka does not tell.
  if [ "$failed" -eq 0 ] && { [ "$2" -ne 0 ] || [ "$((passed + skipped))" -eq 0 ]; }; then
    failed=1
  fi
  echo "$passed $failed $skipped"
}

bc_or_0() {
  local sum
  read -r sum || sum=0
  echo $((${sum:-0}))
}

# NAME COMMAND...: one result, by exit status
run_one() {
  local name=$1 began=$SECONDS log=$results/log.$BASHPID
  shift
  if plainly "$@" > "$log" 2>&1; then
    report "$name" 1 0 0 $((SECONDS - began)) "$log"
  else
    report "$name" 0 1 0 $((SECONDS - began)) "$log"
  fi
}

run_cmocka() { # PROGRAM [NAME=VALUE...]
  local program=$1 began=$SECONDS log=$results/log.$BASHPID status counts
  shift
  # In a subshell, so that bash's own word about a crash goes to the log.
  (plainly "$@" timeout 300 "$program") > "$log" 2>&1
  status=$?
  counts=$(count_cmocka "$log" $status)
  # shellcheck disable=SC2086 # three numbers
  report "$(basename "$program")" $counts $((SECONDS - began)) "$log"
}

run_e2e() { # NAME DIRECTORY-OF-PROGRAMS PATTERN...
  local name=$1 bin=$2 began=$SECONDS log=$results/log.$BASHPID passed failed skipped last
  shift 2
  DEX_BIN=$root/$bin /usr/bin/python3 tests/e2e/run.py -j 2 "$@" > "$log" 2>&1
  last=$(tail -n 1 "$log")
  if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
    passed=${BASH_REMATCH[1]} failed=${BASH_REMATCH[2]} skipped=${BASH_REMATCH[4]:-0}
  else
    passed=0 failed=1 skipped=0
  fi
  grep '^SKIP' "$log"
  report "$name" "$passed" "$failed" "$skipped" $((SECONDS - began)) "$log"
}

unit_suite() {
  local program where=()
  [ ! -e "$results/services" ] || mapfile -t where < "$results/services"
  for program in "$asan"/tests/unit_*; do
    is_program "$program" && run_cmocka "$program"
  done
  for program in "$asan"/tests/contract_*; do
    is_program "$program" && run_cmocka "$program" "${where[@]}"
  done
}

is_program() {
  [ -f "$1" ] && [ -x "$1" ]
}

fuzz_suite() {
  local program name
  for program in "$asan"/fuzz/fuzz_*; do
    is_program "$program" || continue
    name=$(basename "$program")
    run_one "$name" "$program" "tests/fuzz/corpus/${name#fuzz_}"
  done
}

check_suite() {
  local script
  for script in tests/check_*.sh; do
    run_one "$(basename "$script" .sh)" "$script" "$asan/dex-upload"
  done
}

# valgrind 3.19 knows neither openat2 nor limits of file sizes, which the first two test, and cannot itself
# live in a sandbox. The Redis ones are about real time limits, which a program that is thirty times slower
# does not keep.
beyond_valgrind=' unit_fsio contract_blob_file unit_sandbox unit_redis unit_redis_tls unit_redis_cluster '
beyond_valgrind+='unit_redis_sentinel unit_state_redis unit_lock_redis '

valgrind_suite() {
  local program
  for program in "$debug"/tests/unit_* "$debug"/tests/contract_*; do
    is_program "$program" || continue
    [[ $beyond_valgrind != *" $(basename "$program") "* ]] || continue
    run_one "valgrind $(basename "$program")" timeout 600 valgrind -q --error-exitcode=99 \
      --leak-check=full --errors-for-leak-kinds=definite --child-silent-after-fork=yes "$program"
  done
}

# A build with sanitizers does not confine itself: what the sandbox might be in the way of, without them.
sandbox_suite() {
  run_e2e 'responder within its sandbox' "$debug" test_sandbox test_hostile test_tus_core test_delivery \
    test_object_stores 'test_auth.test_t' 'test_two_hosts.test_as'
}

# The responder under load, with its locks and its memory watched.
tsan_suite() {
  DEX_TEST_SERVERS=nginx DEX_TEST_LOAD_SECONDS=10 \
    run_e2e 'responder under ThreadSanitizer' "$tsan" 'test_load.' 'test_interrupt(nginx' \
    'test_tus_extensions(nginx'
}

build() { # FLAVOUR TARGET...
  local flavour=$1 log=$results/build
  shift
  if ! make --no-print-directory -j"$(nproc)" B="$out/$flavour" FLAVOUR="$flavour" "$@" \
    > "$log" 2>&1; then
    tail -n 40 "$log"
    echo "the $flavour build failed"
    echo '0 passed, 1 failed'
    exit 1
  fi
}

# Two cores: the scenarios, which wait a lot, beside everything else.
began=$SECONDS
build asan tests-build
if chosen valgrind; then
  build debug tests-build
elif chosen e2e; then
  build debug "$debug/dex-upload" "$debug/dex-deliver"
fi
if chosen tsan; then
  build tsan "$out/tsan/dex-upload" "$out/tsan/dex-deliver"
fi
echo "built ($((SECONDS - began)) s)"
if chosen unit; then
  start_services
fi
(
  chosen unit && unit_suite
  chosen fuzz && fuzz_suite
  chosen check && check_suite
  chosen valgrind && valgrind_suite
) &
others=$!
(
  chosen e2e && run_e2e 'end to end' "$asan"
  chosen e2e && sandbox_suite
  chosen tsan && tsan_suite
) &
scenarios=$!
wait $scenarios $others

passed=0 failed=0 skipped=0
for file in "$results"/counts.*; do
  [ -e "$file" ] || continue
  while read -r p f s; do
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  done < "$file"
done
line="$passed passed, $failed failed"
[ "$skipped" -eq 0 ] || line+=", $skipped skipped"
echo "$line"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

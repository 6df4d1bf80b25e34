#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Holds the #include lines against the layers of DESIGN.md: who may include whom, and which third-party
# header stays in which file. Prints one line for each line that breaks a rule.
set -euo pipefail
cd "$(dirname "$0")/.."

# folder (longest match wins) : what its files may include, as a regular expression
rules='
core/base      : core/base/
core/net       : core/base/|core/net/
core/auth      : core/base/|core/net/|core/auth/|core/store/state\.h
core/store     : core/base/|core/store/|core/metrics\.h
core/tus       : core/base/|core/store/|core/tus/|core/app\.h|core/metrics\.h
core/dex       : core/base/|core/store/|core/dex/|core/app\.h|core/metrics\.h|core/tracer\.h|core/version\.h|core/config\.h|core/tus/hooks\.h
core           : core/
backends       : core/base/|core/net/|core/store/[a-z]*_impl\.h|core/store/[a-z]*\.h|backends/
fcgi           : core/|fcgi/
fcgi/main.c    : core/|fcgi/|backends/registry\.h
tools          : core/|tools/
tools/dex_deliver.c : core/|tools/|backends/registry\.h
'
# third-party header : the only files that may include it
confined='
jansson.h    : core/base/json.h
yaml.h       : core/base/yaml.c
curl/        : core/net/http[a-z_]*\.[ch]
expat.h      : core/net/xml.c
openssl/     : core/base/digest.c|core/base/seal.c|core/auth/jw[ks].c|backends/redis_tls.c
hiredis/     : backends/redis[a-z_]*\.[ch]
sqlite3.h    : backends/state_sqlite[a-z_]*\.[ch]
fcgiapp.h    : fcgi/serve_fastcgi[a-z_]*\.[ch]
fcgi_stdio.h : nothing
'

allowed_of()
{
  local file=$1 best='' allowed='' where what
  while IFS=':' read -r where what; do
    where=${where// /}
    [ -n "$where" ] || continue
    if [[ $file == "$where" || $file == "$where"/* ]] && [ ${#where} -gt ${#best} ]; then
      best=$where
      allowed=${what# }
    fi
  done <<< "$rules"
  echo "$allowed"
}

bad=0
for file in $(find core backends fcgi tools -name '*.[ch]' | sort); do
  allowed=$(allowed_of "$file")
  while read -r line; do
    header=$(sed -n 's/.*#[[:space:]]*include[[:space:]]*"\([^"]*\)".*/\1/p' <<< "$line")
    [ -n "$header" ] || continue
    if ! [[ $header =~ ^($allowed) ]]; then
      echo "$file may not include \"$header\""
      bad=1
    fi
  done < <(grep -n '#[[:space:]]*include[[:space:]]*"' "$file")
done

while IFS=':' read -r header where; do
  header=${header// /}
  where=${where// /}
  [ -n "$header" ] || continue
  while read -r file; do
    if ! [[ $file =~ ^($where)$ ]]; then
      echo "$file may not include <$header>"
      bad=1
    fi
  done < <(grep -rlE "#[[:space:]]*include[[:space:]]*<$header" core backends fcgi tools || true)
done <<< "$confined"

# Functions that have a safer counterpart in core/base.
if grep -rnwE '(atoi|atol|sprintf|vsprintf|strcpy|strcat|strncpy|strtok|gets|alloca) *\(' \
  --include='*.[ch]' core backends fcgi tools tests; then
  echo 'banned functions: see CONTRIBUTING.md'
  bad=1
fi
if grep -rnwE '(clock_gettime|gettimeofday|time) *\(' --include='*.[ch]' core backends fcgi tools |
  grep -v '^core/base/clock\.c:'; then
  echo 'time is asked for in core/base/clock.c only'
  bad=1
fi
if grep -rnwE '(open|openat|creat|mkstemp|fopen) *\(' --include='*.[ch]' core backends fcgi tools |
  grep -vE '^core/base/(fsio|crash|log)[a-z_]*\.c:|"/proc/|"/dev/'; then
  echo 'files are made in core/base/fsio.c only'
  bad=1
fi

if [ $bad = 0 ]; then
  echo 'layers hold'
fi
exit $bad

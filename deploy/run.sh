#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Run DEX Upload from this checkout until Ctrl-C or SIGTERM: nginx, dex-upload under spawn-fcgi and
# multiwatch, dex-deliver --watch. Called by `make run`; everything it writes lies under RUN_DIR.
#
#   SERVER_PORT (8080)  UI_PORT (8081)  LISTEN_ADDRESS (127.0.0.1; 0.0.0.0 = every interface)
#   RUN_DIR (run)  RESPONDERS (1 process)  DEX_BIN (build/release): where the two programs are
#   UI_ASSETS (build/ui): scripts and styles of the upload page
# All other settings of the two programs are taken from the environment (dex-upload --help-config).
set -u
PATH=$PATH:/usr/sbin:/sbin

root=$(cd "$(dirname "$0")/.." && pwd)
listen=${LISTEN_ADDRESS:-127.0.0.1}
port=${SERVER_PORT:-8080}
ui_port=${UI_PORT:-8081}
responders=${RESPONDERS:-1}

die() {
  echo "make run: $*" >&2
  exit 1
}

absolute() { # PATH: as seen from where we were called
  case $1 in
  /*) printf '%s' "$1" ;;
  *) printf '%s/%s' "$PWD" "$1" ;;
  esac
}

port_is_taken() { # the kernel tells by accepting a connection
  local host=$listen
  case $host in 0.0.0.0 | '*' | '[::]') host=127.0.0.1 ;; esac
  (exec 3<>"/dev/tcp/$host/$1") 2>/dev/null
}

check_arguments() {
  local p
  for p in "$port" "$ui_port"; do
    case $p in '' | *[!0-9]*) die "\"$p\" is no port number" ;; esac
    [ "$p" -ge 1 ] && [ "$p" -le 65535 ] || die "port $p is not within 1 to 65535"
  done
  [ "$port" -ne "$ui_port" ] || die "SERVER_PORT and UI_PORT are both $port"
  case $responders in '' | *[!0-9]* | 0) die "RESPONDERS=$responders: expected a number from 1" ;; esac
  for p in nginx spawn-fcgi multiwatch curl; do
    command -v $p >/dev/null || die "$p is missing (deploy/install-packages.sh run)"
  done
  for p in dex-upload dex-deliver; do
    [ -x "$bin/$p" ] || die "$bin/$p is missing (make)"
  done
}

make_settings() {
  # Relative paths mean the caller's directory, but the programs run in RUN_DIR.
  local name
  for name in ${!LOCAL_*} DEX_STATE_DB DEX_METRICS_FILE UPLOAD_CONFIG_PATH DEX_DELIVERY_CONFIG_FILE \
    DEX_APPCONF; do
    [ -z "${!name:-}" ] || export "$name=$(absolute "${!name}")"
  done
  export SERVER_PORT=$port UI_PORT=$ui_port
  export LOCAL_FOLDER_UPLOADS_TUS=${LOCAL_FOLDER_UPLOADS_TUS:-$run/uploads}
  export LOCAL_REPORTS_FOLDER=${LOCAL_REPORTS_FOLDER:-$run/uploads/reports}
  export LOCAL_EVENTS_FOLDER=${LOCAL_EVENTS_FOLDER:-$run/uploads/events}
  export UPLOAD_CONFIG_PATH=${UPLOAD_CONFIG_PATH:-$root/upload-configs}
  [ -n "${DEX_DELIVERY_CONFIG_FILE:-}" ] ||
    export DEX_DELIVERY_CONFIG_FILE=$root/deploy/delivery.yml
}

# Root's rights are for nginx and for this script. Started by root, the programs run as another user; $as
# stands before their names, and is empty where they run as who we are.
choose_user() {
  as=() user=''
  [ "$(id -u)" -eq 0 ] || return 0
  user=nobody
  ! id www-data >/dev/null 2>&1 || user=www-data
  group=$(id -gn "$user")
  take_over "$run/uploads"
  local plain=("$(command -v setpriv)" "--reuid=$user" "--regid=$group" --clear-groups --no-new-privs)
  # Below a directory that is closed to others (root's home) it may pass and read, and still not write.
  local pass=(--inh-caps=+dac_read_search --ambient-caps=+dac_read_search)
  if reaches "${plain[@]}"; then
    as=("${plain[@]}")
  elif reaches "${plain[@]}" "${pass[@]}"; then
    as=("${plain[@]}" "${pass[@]}")
  else
    echo "make run: $user can reach or run $run or $bin in no way: the programs run as root" >&2
  fi
  [ ${#as[@]} -eq 0 ] || check_folders
}

# What an earlier run as root has left belongs to the user from now on. Links are not followed.
take_over() { # DIRECTORY
  mkdir -p "$1"
  [ "$(stat -c %U "$1")" = "$user" ] || chown -Rh --from=root "$user:$group" "$1"
}

# By trying: access(2), which test(1) asks, leaves the right to pass out of account.
reaches() { # COMMAND...: the user that it stands for gets at what the programs need
  # shellcheck disable=SC2016 # for the inner shell
  "$@" sh -c 'cd "$1" && test -w . && "$2" --version && "$3" --version && ls "$4" && : <"$5"' \
    sh "$run/uploads" "$bin/dex-upload" "$bin/dex-deliver" "$UPLOAD_CONFIG_PATH" \
    "$DEX_DELIVERY_CONFIG_FILE" >/dev/null 2>&1
}

check_folders() { # those that were given are the administrator's own
  local name
  for name in ${!LOCAL_*}; do
    # shellcheck disable=SC2016 # for the inner shell
    [ ! -e "${!name}" ] || "${as[@]}" sh -c 'cd "$1" && test -w .' sh "${!name}" 2>/dev/null ||
      die "$name=${!name} cannot be written by $user, as whom the programs run: chown -R $user it"
  done
}

# The whole web-server side lives in one directory and is named relative to it: no path is too long for
# a socket, spaces need no quoting, and workers of another user need no access to the directories above.
make_nginx() {
  local user_line=''
  web=$run/nginx
  mkdir -p "$web/tmp" "$web/html" "$run/log"
  if [ -n "$user" ]; then
    user_line="user $user $group;"
    chgrp "$group" "$web" && chmod 0750 "$web"
    chmod 0755 "$web/html"
  fi
  local files
  files=$(ulimit -Hn)
  [ "$files" != unlimited ] && [ "$files" -lt 16384 ] || files=16384
  ulimit -Sn "$files"
  sed -e "s|@USER_LINE@|$user_line|" -e "s|@WORKERS@|2|" -e "s|@NOFILE@|$files|" \
    -e "s|@CONNECTIONS@|$((files / 2 < 4096 ? files / 2 : 4096))|" \
    -e "s|@ERROR_LOG@|../log/nginx-error.log|" -e "s|@ACCESS_LOG@|off|" \
    "$root/deploy/nginx/nginx.conf.in" >"$web/nginx.conf"
  local file
  for file in "$root"/deploy/nginx/*.conf; do
    sed -e 's|/usr/share/dex-upload/nginx/||' -e 's|/usr/share/dex-upload/ui/|html/assets/|' \
      -e 's|unix:/run/dex-upload/upload.sock|unix:dex.sock|' \
      -e "s|listen 8080|listen $listen:$port|" -e "s|listen 8081|listen $listen:$ui_port|" \
      "$file" >"$web/${file##*/}"
  done
  rm -rf "$web/html/assets"
  if [ -d "$ui" ]; then
    cp -R "$ui" "$web/html/assets"
    chmod -R u=rwX,go=rX "$web/html/assets"
  else
    echo "make run: $ui is missing (make ui): files cannot be sent from the upload page" >&2
  fi
}

# DIRECTORY LOG COMMAND...: in a process group of its own, so that Ctrl-C reaches this script alone, and
# so that whatever the command leaves behind can be ended with it. Its id is in $started.
start() {
  local dir=$1 log=$2
  shift 2
  set -m
  (cd "$dir" && exec "$@") >>"$log" 2>&1 9>&- &
  started=$!
  disown "$started" # the shell need not tell of its end, supervise does
  set +m
}

start_web() {
  start "$web" "$run/log/nginx-error.log" nginx -p ./ -c nginx.conf -e ../log/nginx-error.log
  web_pid=$started
}

start_responders() {
  # The restart limit is wide: a responder that dies is back at once. One that cannot even start is
  # tried again by supervise, with a pause.
  start "$web" "$run/log/dex-upload.log" spawn-fcgi -n -s dex.sock -M 0666 -b 4096 -d "$run" -- \
    "${as[@]}" "$(command -v multiwatch)" -f "$responders" -r 20 -t 200 -s TERM -- "$bin/dex-upload"
  fcgi_pid=$started
}

start_deliver() {
  start "$run" "$run/log/dex-deliver.log" "${as[@]}" "$bin/dex-deliver" --watch
  deliver_pid=$started
}

alive() {
  kill -0 "$1" 2>/dev/null
}

end_group() { # PID...: what is left of groups we made
  local pid
  for pid in "$@"; do
    kill -KILL -- "-$pid" 2>/dev/null
  done
}

stop() {
  trap '' INT TERM HUP
  local pids="${web_pid:-} ${fcgi_pid:-} ${deliver_pid:-}" pid n left=1
  for pid in $pids; do
    kill -TERM "$pid" 2>/dev/null
  done
  for ((n = 0; left > 0 && n < 80; n++)); do
    left=0
    for pid in $pids; do
      ! alive "$pid" || left=$((left + 1))
    done
    [ "$left" -eq 0 ] || sleep 0.1
  done
  # shellcheck disable=SC2086 # a list of numbers
  end_group $pids
  rm -f "$web/dex.sock"
}

give_up() { # SENTENCE: something did not come up
  stop
  local log
  for log in "$run"/log/*.log; do
    [ ! -s "$log" ] || { echo "--- $log"; tail -n 15 "$log"; } >&2
  done
  die "$*"
}

await_service() {
  local n
  for n in $(seq 100); do
    alive "$web_pid" || give_up "nginx did not start"
    curl -fsS -m 2 -o "$run/nginx/answer" "http://$probe:$port/" 2>/dev/null && return
    sleep 0.1
  done
  give_up "no answer on port $port within $((n / 10)) seconds"
}

base64_of() {
  printf '%s' "$1" | base64 -w0
}

print_addresses() {
  local meta='' pair example=$run/example.csv
  [ -e "$example" ] || printf 'id,value\n1,first\n2,second\n' > "$example"
  for pair in data_stream_id=dextesting data_stream_route=testevent1 sender_id=example \
    data_producer_id=example jurisdiction=GAA received_filename=example.csv; do
    meta="$meta${meta:+,}${pair%%=*} $(base64_of "${pair#*=}")"
  done
  cat <<END

DEX Upload is running (data, logs and configuration: $run)
  API          http://$probe:$port/files/   (tus 1.0.0)
  upload page  http://$probe:$ui_port/
  health       http://$probe:$port/health
Upload a small file:

curl -i http://$probe:$port/files/ -H 'Tus-Resumable: 1.0.0' -H 'Content-Type: application/offset+octet-stream' -H 'Upload-Length: $(wc -c <"$example")' -H 'Upload-Metadata: $meta' --data-binary @$(printf '%q' "$example")

It is delivered under ${LOCAL_EDAV_FOLDER:-$run/uploads/edav} within a second. Ctrl-C ends everything.
END
}

again() { # WHAT PID
  echo "make run: $1 has ended; starting it again" >&2
  end_group "$2" # what outlived it would hold the port or the socket
}

supervise() { # until a signal: start again what dies
  exec 8<> <(:) # nobody writes to it: a pause that costs no process
  while :; do
    alive "$web_pid" || { again nginx "$web_pid"; start_web; }
    alive "$fcgi_pid" || { again dex-upload "$fcgi_pid"; start_responders; }
    alive "$deliver_pid" || { again dex-deliver "$deliver_pid"; start_deliver; }
    read -r -t 0.4 -u 8
  done
}

bin=$(absolute "${DEX_BIN:-$root/build/release}")
ui=$(absolute "${UI_ASSETS:-$root/build/ui}")
unset DEX_BIN # the programs refuse variables with their prefix that they do not know
run=$(absolute "${RUN_DIR:-run}")
probe=$listen
case $listen in 0.0.0.0 | '*' | '[::]') probe=127.0.0.1 ;; esac

check_arguments
mkdir -p "$run" || die "cannot make $run"
run=$(cd "$run" && pwd)
exec 9>"$run/lock" || die "cannot write to $run"
flock -n 9 || die "$run is in use by another run; name another directory with RUN_DIR=..."
for p in "$port" "$ui_port"; do
  ! port_is_taken "$p" || die "port $p is taken; choose another with SERVER_PORT=... UI_PORT=..."
done
make_settings
choose_user
problems=$(cd "$run" && "${as[@]}" "$bin/dex-upload" --check-config 2>&1 >/dev/null) ||
  die "the settings are not usable:"$'\n'"$problems"
make_nginx
trap 'stop; exit 0' INT TERM HUP
start_web
start_responders
start_deliver
await_service
print_addresses
supervise

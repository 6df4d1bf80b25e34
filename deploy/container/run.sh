#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What runs in a container: run.sh all | upload | deliver | web | health. The root file system may be read-only; written
# to are /tmp and the volumes /run/dex-upload (the socket) and /var/lib/dex-upload (the data). Settings come from the
# environment, then from /etc/dex-upload/dex-upload.conf. health: whether the role of this container does its work.
set -u

settings=/etc/dex-upload/dex-upload.conf
socket=/run/dex-upload/upload.sock
share=/usr/share/dex-upload
role=/tmp/dex-upload-role
web=/tmp/web

run_upload() {
  rm -f $socket # of a container that was killed
  exec spawn-fcgi -n -s $socket -M 0660 -b 4096 -d /var/lib/dex-upload -- /usr/bin/dex-upload --appconf $settings
}

run_deliver() {
  cd /var/lib/dex-upload && exec dex-deliver --config $settings --watch
}

# /metrics is for loopback only; beside it on a port that is for the network of the containers, and not published.
metrics_server() {
  cat <<END
server {
	listen 0.0.0.0:8082;
	include $share/nginx/fastcgi.conf;
	location = /metrics {
		fastcgi_pass dex_upload;
	}
	location / {
		return 404;
	}
}
END
}

# The nginx.conf of `make run` with the site on the ports that the image exposes. Nobody is limited by address: where the
# network of containers translates them, all senders have the same.
run_web() {
  mkdir -p $web/tmp
  sed '/^geo .dex_upload_unlimited/,/^}/s/default 0/default 1/' $share/nginx/dex-upload.conf >$web/dex-upload.conf
  metrics_server >$web/metrics.conf
  local files
  files=$(ulimit -n)
  sed -e 's|@USER_LINE@||; s|@WORKERS@|auto|; s|@ERROR_LOG@|stderr|; s|@ACCESS_LOG@|off|' \
    -e "s|@NOFILE@|$files|; s|@CONNECTIONS@|$((files / 2))|" \
    -e 's|^[[:space:]]*include dex-upload.conf;|&\n\tinclude metrics.conf;|' $share/nginx/nginx.conf.in >$web/nginx.conf
  cd $web && exec nginx -p ./ -c nginx.conf -e stderr
}

# What ends takes the others with it: whoever started the container starts it again.
run_all() {
  local pids=() part status
  for part in upload deliver web; do
    (run_$part) &
    pids+=($!)
  done
  trap 'status=0' TERM INT
  wait -n
  status=${status:-$?}
  kill "${pids[@]}" 2>/dev/null
  wait
  exit "$status"
}

health() {
  case $(cat $role) in
  all | web) curl -fsS -m 8 -o /dev/null http://127.0.0.1:8080/health ;;
  upload)
    REQUEST_METHOD=GET SCRIPT_NAME=/health PATH_INFO='' cgi-fcgi -bind -connect $socket | grep -q '"status":"UP"'
    ;;
  deliver) dex-deliver --config $settings --list >/dev/null ;;
  esac
}

case ${1:-} in
all | upload | deliver | web)
  echo "$1" >$role
  "run_$1"
  ;;
health)
  health
  ;;
*)
  echo "usage: $0 all | upload | deliver | web | health" >&2
  exit 2
  ;;
esac

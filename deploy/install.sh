#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# install.sh install BUILD UI | uninstall: what `make install` and `make uninstall` do. BUILD holds the programs, UI the
# scripts of the upload page. From the environment: DESTDIR, PREFIX, UNITDIR (systemd units) and WEB_GROUP (the group
# of the web server, which may use the responder's socket).
#
# Every file that is put somewhere is written down in share/dex-upload/installed: that list is what uninstall removes,
# and what an older version had and this one has not goes as well.
set -eu

cd "$(dirname "$0")/.."
prefix=${PREFIX:-/usr/local}
unitdir=${UNITDIR:-$prefix/lib/systemd/system}
dest=${DESTDIR:-}
share=$prefix/share/dex-upload
list=$share/installed
doc=$prefix/share/doc/dex-upload
services='dex-upload dex-upload@ dex-deliver dex-deliver-watch'

put() { # MODE SOURCE TARGET
  install -D -m "$1" "$2" "$dest$3"
  echo "$3" >>"$new"
}

put_all() { # DIRECTORY FILE...: where a pattern matches nothing, there is nothing to put
  dir=$1
  shift
  for file in "$@"; do
    [ ! -f "$file" ] || put 644 "$file" "$dir/$(basename "$file")"
  done
}

# As put, with the paths of this installation in place of those of a package.
put_text() { # SOURCE TARGET
  sed -e "s|/usr/bin/dex-|$prefix/bin/dex-|g" -e "s|/usr/share/dex-upload|$share|g" \
    -e "s|^SocketGroup=www-data|SocketGroup=${WEB_GROUP:-www-data}|" "$1" >"$text"
  mode=644
  [ ! -x "$1" ] || mode=755
  put $mode "$text" "$2"
}

put_system_files() {
  for file in deploy/systemd/*.service deploy/systemd/*.socket deploy/systemd/*.timer; do
    put_text "$file" "$unitdir/$(basename "$file")"
  done
  for service in $services; do
    put_text deploy/systemd/hardening.conf "$unitdir/$service.service.d/hardening.conf"
  done
  put_text deploy/systemd/dex-upload.sysusers "$prefix/lib/sysusers.d/dex-upload.conf"
  put_text deploy/systemd/dex-upload.tmpfiles "$prefix/lib/tmpfiles.d/dex-upload.conf"
  put_text deploy/systemd/dex-upload.logrotate "$share/logrotate"
  put_text deploy/systemd/dex-upload.cron "$share/cron"
}

put_everything() { # BUILD UI
  put 755 "$1/dex-upload" "$prefix/bin/dex-upload"
  put 755 "$1/dex-deliver" "$prefix/bin/dex-deliver"
  put_all "$share/ui" "$2"/*
  put_all "$share/upload-configs/v1" upload-configs/v1/*.json
  put_all "$share/upload-configs/v2" upload-configs/v2/*.json
  put 644 deploy/delivery.yml "$share/delivery.yml"
  deploy/system-settings.sh .env.example >"$text"
  put 644 "$text" "$share/dex-upload.conf"
  for server in nginx apache lighttpd shared-hosting; do
    for file in "deploy/$server"/* "deploy/$server"/.[!.]*; do
      [ ! -f "$file" ] || put_text "$file" "$share/$server/$(basename "$file")"
    done
  done
  put_system_files
  for section in 5 8; do
    put_all "$prefix/share/man/man$section" man/*.$section
  done
  man/conf-page.sh "$1/dex-upload" >"$text"
  put 644 "$text" "$prefix/share/man/man5/dex-upload.conf.5"
  put_all "$doc" README.md DESIGN.md CHANGELOG.md SECURITY.md LICENSE deploy/*.md
}

remove() { # LIST: its files, and the folders that are then empty
  while read -r file; do
    rm -f "$dest$file"
    dir=$(dirname "$file")
    while [ "$dir" != "$prefix" ] && [ "$dir" != / ] && rmdir "$dest$dir" 2>/dev/null; do
      dir=$(dirname "$dir")
    done
  done <"$1"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
text=$work/text new=$work/new old=$work/old

case ${1:-} in
install)
  [ $# -eq 3 ] || { echo "usage: $0 install BUILD UI" >&2; exit 2; }
  : >"$new"
  put_everything "$2" "$3"
  if [ -e "$dest$list" ]; then
    sort "$new" >"$work/sorted"
    sort "$dest$list" | comm -13 "$work/sorted" - >"$old"
    grep -vxF "$list" "$old" >"$work/stale" || true
    remove "$work/stale"
  fi
  echo "$list" >>"$new"
  install -m 644 "$new" "$dest$list"
  ;;
uninstall)
  [ -e "$dest$list" ] || { echo "$0: nothing is installed below $dest$prefix" >&2; exit 1; }
  cp "$dest$list" "$old"
  remove "$old"
  ;;
*)
  echo "usage: $0 install BUILD UI | uninstall" >&2
  exit 2
  ;;
esac

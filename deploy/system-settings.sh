#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# system-settings.sh SETTINGS: the settings file of an installed system, /etc/dex-upload/dex-upload.conf, made of
# .env.example: every setting with its default, and those set that a system's folders need.
set -eu

state=/var/lib/dex-upload

# Fails where .env.example does not know the setting (any more).
set_to() { # FILE NAME VALUE
  grep -q "^#$2=" "$1" || { echo "$0: no setting $2 in $1" >&2; exit 1; }
  sed -i "s|^#$2=.*|$2=$3|" "$1"
}

out=$(mktemp)
trap 'rm -f "$out"' EXIT
sed -e '1,/^$/d' "$1" >"$out"
set_to "$out" LOCAL_FOLDER_UPLOADS_TUS $state/uploads
set_to "$out" UPLOAD_CONFIG_PATH /etc/dex-upload/upload-configs
set_to "$out" DEX_DELIVERY_CONFIG_FILE /etc/dex-upload/delivery.yml
cat <<END
# Settings of DEX Upload: dex-upload.conf(5). Where a line begins with # it shows a default. Variables of the
# environment win over this file; what is in force, and what is wrong with it, tells
#   dex-upload --appconf /etc/dex-upload/dex-upload.conf --check-config

## Folders of the targets in /etc/dex-upload/delivery.yml

LOCAL_EDAV_FOLDER=$state/delivered/edav
LOCAL_EHDI_FOLDER=$state/delivered/ehdi
LOCAL_EICR_FOLDER=$state/delivered/eicr
LOCAL_NCIRD_FOLDER=$state/delivered/ncird

END
cat "$out"

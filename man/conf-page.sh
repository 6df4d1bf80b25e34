#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# conf-page.sh DEX_UPLOAD: print dex-upload.conf(5), its settings as that program has them.
set -eu

settings=$(mktemp)
trap 'rm -f "$settings"' EXIT
"$1" --help-config=man >"$settings"
sed -e '/@SETTINGS@/{' -e "r $settings" -e 'd' -e '}' "$(dirname "$0")/dex-upload.conf.5.in"

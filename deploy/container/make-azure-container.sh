#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Make the container TUS_AZURE_CONTAINER_NAME of AZURE_STORAGE_ACCOUNT at AZURE_ENDPOINT, signed with AZURE_STORAGE_KEY;
# one that is there already is fine. Waits up to a minute for the service.
# https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
set -euo pipefail

path=/$(cut -d/ -f4- <<<"$AZURE_ENDPOINT/")$TUS_AZURE_CONTAINER_NAME
key=$(base64 -d <<<"$AZURE_STORAGE_KEY" | od -An -v -tx1 | tr -d ' \n')
for _ in $(seq 60); do
  date=$(LC_ALL=C date -u '+%a, %d %b %Y %H:%M:%S GMT')
  # Method, eleven empty headers, ours in order, the resource.
  text=$(printf 'PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:%s\nx-ms-version:2021-12-02\n/%s%s\nrestype:container' \
    "$date" "$AZURE_STORAGE_ACCOUNT" "$path")
  signature=$(printf %s "$text" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64 -w0)
  status=$(curl -sS -m 10 -o /dev/null -w '%{http_code}' -X PUT -H 'Content-Length: 0' -H "x-ms-date: $date" \
    -H 'x-ms-version: 2021-12-02' -H "Authorization: SharedKey $AZURE_STORAGE_ACCOUNT:$signature" \
    "${AZURE_ENDPOINT%/}/$TUS_AZURE_CONTAINER_NAME?restype=container") || status=000
  case $status in
  201 | 409) exit 0 ;;
  40?) echo "the service answers $status" >&2 && exit 1 ;;
  esac
  sleep 1
done
echo "the service does not answer" >&2
exit 1

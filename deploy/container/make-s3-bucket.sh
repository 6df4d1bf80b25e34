#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Make the bucket S3_BUCKET_NAME at S3_ENDPOINT with the keys of the AWS_ variables; one that is there already is fine.
# Waits up to a minute for the service.
set -euo pipefail

empty=$(sha256sum </dev/null | cut -d' ' -f1)
for _ in $(seq 60); do
  # By its standard input, so that no list of processes shows the key.
  status=$(curl -sS -m 10 -o /dev/null -w '%{http_code}' -X PUT --aws-sigv4 "aws:amz:$AWS_REGION:s3" -K - \
    -H "x-amz-content-sha256: $empty" -H 'Content-Length: 0' "${S3_ENDPOINT%/}/$S3_BUCKET_NAME" <<<"user = \"$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY\"") || status=000
  case $status in
  200 | 409) exit 0 ;;
  40?) echo "the service answers $status" >&2 && exit 1 ;;
  esac
  sleep 1
done
echo "the service does not answer" >&2
exit 1

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# image.sh UI OUT: build the container image dex-upload:VERSION (and :latest) from what dist.sh packs. CONTAINER (podman,
# docker) builds it, on BASE where that is set; IMAGE_NAME is another name, IMAGE_FLAGS are passed on.
set -eu

cd "$(dirname "$0")/.."
archive=$(deploy/dist.sh "$1" "$2")
version=$(cat VERSION)
name=${IMAGE_NAME:-dex-upload}

# A health check is kept in images of docker's format only; docker makes no other.
# shellcheck disable=SC2086 # several words are meant
exec env BUILDAH_FORMAT=docker "${CONTAINER:-podman}" build ${IMAGE_FLAGS:-} ${BASE:+--build-arg BASE="$BASE"} \
  -f "${archive%.tar.gz}/deploy/container/Dockerfile" -t "$name:$version" -t "$name:latest" "${archive%.tar.gz}"

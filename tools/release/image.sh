#!/bin/sh
# image.sh PROGRAM TAG [DOCKER-BUILD-ARGUMENTS]: builds the image of balanceq or cms-sim, labelled with what it is made
# from. GO_IMAGE is what to build with, where golang's cannot be had; GOPROXY and the like are passed on. DOCKER is the
# program to call.
set -eu
cd "$(dirname "$0")/../.."
program=$1 tag=$2
shift 2
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
for name in GO_IMAGE GOPROXY GOSUMDB GONOSUMDB; do
  eval "value=\${$name:-}"
  [ -z "$value" ] || set -- "$@" --build-arg "$name=$value"
done
DOCKER_BUILDKIT=1 exec "${DOCKER:-docker}" build --target "$program" --tag "$tag" \
  --build-arg VERSION="${VERSION:-dev}" \
  --build-arg REVISION="$(git rev-parse HEAD)" \
  --build-arg SOURCE="https://$(sed -n 's/^module //p' go.mod)" \
  --build-arg SOURCE_DATE_EPOCH="$epoch" \
  --build-arg CREATED="$(date -u -d "@$epoch" +%FT%TZ 2>/dev/null || date -u -r "$epoch" +%FT%TZ)" \
  "$@" .

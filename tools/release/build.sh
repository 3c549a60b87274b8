#!/bin/sh
# build.sh GO-BUILD-ARGUMENTS: builds programs as they are released, which is how make and the Dockerfile build them, too:
# the same commit, Go release, VERSION and target give the same bytes, whatever folder and machine. grpcnotrace leaves out a
# page of gRPC, of which only messages are used: its templates would have the linker keep every exported method (4 MB).
exec env CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags grpcnotrace \
  -ldflags "-s -w -X github.com/balanceq/balanceq/internal/cli/command.version=${VERSION:-dev}" "$@"

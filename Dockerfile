# balanceq in an image of its own; with --target cms-sim the simulated CMS. Builds in a fresh clone, with BuildKit (Docker
# since 23.0, or DOCKER_BUILDKIT=1; podman, buildah): docker build .   Why it is as it is: docs/adr/0008-scratch-image.md.

# Any image with this Go and a shell will do: one of a registry of yours, or with its digest.
ARG GO_IMAGE=golang:1.26.8

FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
WORKDIR /src
COPY . .
ARG GOPROXY GOSUMDB GONOSUMDB TARGETOS TARGETARCH VERSION=dev SOURCE_DATE_EPOCH=0
# The times of the files are set, so that the same commit makes the same layers.
RUN --mount=type=cache,target=/cache GOMODCACHE=/cache/mod GOCACHE=/cache/build && export GOMODCACHE GOCACHE && \
    for program in balanceq cms-sim; do \
      GOOS=$TARGETOS GOARCH=$TARGETARCH tools/release/build.sh -o /$program/$program ./cmd/$program && \
      mkdir /$program/licences && cp LICENSE /$program/licences/ && \
      go run ./tools/release licences /$program/$program >/$program/licences/THIRD-PARTY || exit; \
    done && find /balanceq /cms-sim -exec touch -h -d @$SOURCE_DATE_EPOCH {} +

FROM scratch AS cms-sim
ARG VERSION=dev REVISION CREATED SOURCE
LABEL org.opencontainers.image.title=cms-sim \
      org.opencontainers.image.description="Simulates the balances call of the Mastercard Processing CMS" \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.created=$CREATED \
      org.opencontainers.image.source=$SOURCE
COPY --from=build /cms-sim /
USER 65532:65532
EXPOSE 8090
ENTRYPOINT ["/cms-sim"]
CMD ["--listen", "0.0.0.0:8090"]

FROM scratch AS balanceq
ARG VERSION=dev REVISION CREATED SOURCE
LABEL org.opencontainers.image.title=balanceq \
      org.opencontainers.image.description="Answers balance requests from Kafka by asking the Mastercard Processing CMS" \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.created=$CREATED \
      org.opencontainers.image.source=$SOURCE
COPY --from=build /balanceq /
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --start-period=60s --interval=30s --timeout=10s CMD ["/balanceq", "health"]
ENTRYPOINT ["/balanceq"]
CMD ["run"]

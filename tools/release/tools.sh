# Sourced: the tools of a release, at the versions that have been tried. The large ones are not installed here, as it takes
# minutes to build each: get them from Debian, from their makers, or by the go install that is named.
cosign_module=github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
syft_module=github.com/anchore/syft/cmd/syft@v1.57.1
cyclonedx_module=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
helm_module=helm.sh/helm/v4/cmd/helm@v4.3.2
export PATH="$PATH:$(go env GOPATH)/bin:${XDG_CACHE_HOME:-$HOME/.cache}/balanceq/helm-v4.3.2" # make chart builds Helm there

has() { # has COMMAND MODULE: is it there? else it says how to get it
  command -v "$1" >/dev/null || { echo "$1 is not there; go install $2" >&2; return 1; }
}

# sbom FOLDER PROGRAM OUT: what PROGRAM is made of as its source in FOLDER tells, for GOOS and GOARCH. FOLDER is a clone of
# git with a tag, from which the version comes.
sbom() {
  command -v cyclonedx-gomod >/dev/null || go install "$cyclonedx_module"
  CGO_ENABLED=0 cyclonedx-gomod app -json -licenses -std -noserial -notimestamp -main "cmd/$2" -output "$3" "$1"
}

# sign FILE KEY, verify FILE PUBLIC-KEY: FILE.bundle is the signature. Nothing goes to a public log of signatures, or is looked
# for there: it works without the internet, and the key is what is trusted.
sign() {
  has cosign "$cosign_module"
  cosign sign-blob --yes --key "$2" --use-signing-config=false --tlog-upload=false --bundle "$1.bundle" "$1"
}
verify() {
  cosign verify-blob --key "$2" --bundle "$1.bundle" --insecure-ignore-tlog "$1"
}

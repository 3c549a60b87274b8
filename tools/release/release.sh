#!/usr/bin/env bash
# Makes a release of the commit that is checked out in dist/: for each program and target an archive with the licences of what
# it is made of, and its SBOM; checksums of all of it, signed where COSIGN_KEY names a key; and release notes. The same
# commit gives the same files. docs/releasing.md is about it.
#
#   VERSION=v1.2.3 COSIGN_KEY=cosign.key tools/release/release.sh      TARGETS and OUT are others than below
set -euo pipefail
cd "$(dirname "$0")/../.."
source tools/release/tools.sh
export VERSION=${VERSION%-dirty} # what is built is the commit
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
targets=${TARGETS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64}
out=$(realpath -m "${OUT:-dist}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Another release of Go would make other bytes.
go_version=go$(sed -n 's/^go //p' go.mod)
[ "$(go env GOVERSION)" = "$go_version" ] || export GOTOOLCHAIN=$go_version

rm -rf "$out"
mkdir -p "$out" "$work/src"
go run ./tools/release notes "$VERSION" CHANGELOG.md >"$out/release-notes.md"

# The commit in a folder of its own, where nothing else lies about, and with the tag from which the SBOM has its version.
git archive HEAD | tar -x -C "$work/src"
cd "$work/src"
git init --quiet
git add --all
git -c user.name=release -c user.email=release@localhost commit --quiet --message "$VERSION"
git tag "$VERSION"

pack() { # pack FOLDER: as FOLDER.tar.gz, for Windows as FOLDER.zip, with nothing of the machine in it
  local name=${1##*/}
  find "$1" -exec touch --date "@$SOURCE_DATE_EPOCH" {} +
  cd "$(dirname "$1")"
  case $name in
    *_windows_*) find "$name" | LC_ALL=C sort | TZ=UTC zip -qX -@ "$out/$name.zip";;
    *) tar --sort=name --owner=0 --group=0 --numeric-owner --mode=u+rw,go=rX --format=ustar -c "$name" | gzip -9n >"$out/$name.tar.gz";;
  esac
  cd - >/dev/null
}

for target in $targets; do
  export GOOS=${target%/*} GOARCH=${target#*/}
  for program in balanceq cms-sim; do
    name=${program}_${VERSION}_${GOOS}_$GOARCH
    binary=$work/$name/$program
    [ "$GOOS" != windows ] || binary+=.exe
    echo "$name"
    tools/release/build.sh -o "$binary" "./cmd/$program"
    cp LICENSE CHANGELOG.md "$work/$name"
    sbom . "$program" "$out/$name.cdx.json"
    (unset GOOS GOARCH
      go run ./tools/release sboms "$binary" "$out/$name.cdx.json"
      go run ./tools/release licences "$binary" >"$work/$name/THIRD-PARTY")
    pack "$work/$name"
  done
done
unset GOOS GOARCH

if [ -e deploy/helm/balanceq/Chart.yaml ] && has helm "$helm_module"; then
  helm package deploy/helm/balanceq --version "${VERSION#v}" --app-version "$VERSION" --destination "$out"
fi

cd "$out"
sums=$(LC_ALL=C; sha256sum -- *)
echo "$sums" >checksums.txt
if [ -n "${COSIGN_KEY:-}" ]; then
  sign checksums.txt "$COSIGN_KEY"
else
  echo "not signed: COSIGN_KEY names no key"
fi
ls -l

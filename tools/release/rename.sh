#!/bin/sh
# rename.sh MODULE: gives the module another path, for who hosts it elsewhere: in all files that git knows, the changelog apart,
# which tells how it was.
set -eu
cd "$(dirname "$0")/../.."
old=$(sed -n 's/^module //p' go.mod) new=${1:-}
case $new in
  *[!A-Za-z0-9./_~-]* | */ | */../* | "") echo "rename: MODULE=$new is no module path: write for example git.example.com/payments/balanceq" >&2; exit 2;;
esac
case ${new%%/*} in
  *.*) ;;
  *) echo "rename: MODULE=$new: its first part has to be a host, with a dot, or go cannot get it" >&2; exit 2;;
esac
OLD=$old NEW=$new export OLD NEW
git grep -lzF "$old" -- . ':!CHANGELOG.md' | xargs -0 perl -pi -e 's{\Q$ENV{OLD}\E(?![\w.-])}{$ENV{NEW}}g'
git ls-files -z '*.go' | xargs -0 gofmt -w # the order of imports
echo "$old is $new now: look at it by git diff, and commit it"

#!/usr/bin/env bash
# Completes a release:
#
#     packaging/release.sh FOLDER
#
# FOLDER holds the archives of all targets, made by archive.sh. The script adds the Debian packages,
# SHA256SUMS, the installer install.sh and the Homebrew formula llmzip.rb. REPOSITORY is the address
# under which releases are published (else it is `repository` in Cargo.toml).
set -euo pipefail
dist=$(realpath "$1")
cd "$(dirname "$0")"
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' ../Cargo.toml | head -n 1)
export REPOSITORY=${REPOSITORY:-$(sed -n 's/^repository = "\(.*\)"$/\1/p' ../Cargo.toml)}
[ -n "$REPOSITORY" ] || {
    echo "release.sh: Cargo.toml has no repository; set REPOSITORY" >&2
    exit 1
}

for archive in "$dist/llmzip-$version"-*-unknown-linux-gnu.tar.gz; do
    ./deb.sh "$archive" "$dist"
done

sed "s|^repository=\$|repository='$REPOSITORY'|; s|^version=\$|version=$version|" install.sh \
    >"$dist/install.sh"

formula=$(sed "s|@REPOSITORY@|$REPOSITORY|g; s|@VERSION@|$version|g" llmzip.rb.in | sed '1d')
while [[ $formula =~ @SHA256\ ([a-z0-9_-]+)@ ]]; do
    sum=$(sha256sum "$dist/llmzip-$version-${BASH_REMATCH[1]}.tar.gz" | cut -d ' ' -f 1)
    formula=${formula/"${BASH_REMATCH[0]}"/$sum}
done
echo "$formula" >"$dist/llmzip.rb"

cd "$dist"
sha256sum llmzip-* llmzip_* llmzip.rb install.sh >SHA256SUMS

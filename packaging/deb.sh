#!/usr/bin/env bash
# Makes a Debian package of an archive for Linux that archive.sh has made:
#
#     packaging/deb.sh llmzip-VERSION-TARGET.tar.gz FOLDER
#
# writes FOLDER/llmzip_VERSION-1_ARCHITECTURE.deb. It needs dpkg-deb and no root. The same archive
# gives the same bytes. DEBFULLNAME and DEBEMAIL name the maintainer, REPOSITORY the home page
# (else it is `repository` in Cargo.toml).
set -euo pipefail
archive=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
cd "$(dirname "$0")/.."
repository=${REPOSITORY:-$(sed -n 's/^repository = "\(.*\)"$/\1/p' Cargo.toml)}
description=$(sed -n 's/^description = "\(.*\)"$/\1/p' Cargo.toml)

name=$(basename "$archive" .tar.gz)
case $name in
*-x86_64-*-linux-*) architecture=amd64 ;;
*-aarch64-*-linux-*) architecture=arm64 ;;
*)
    echo "deb.sh: $name is not for Linux on x86_64 or aarch64" >&2
    exit 1
    ;;
esac
version=${name#llmzip-}
version=${version%-"${name##*-linux-}"}
version=${version%-*-*-linux}

maintainer="${DEBFULLNAME:-The llmzip authors} <${DEBEMAIL:-llmzip@example.invalid}>"

staging=$(mktemp -d)
trap 'rm -r "$staging"' EXIT
umask 022
tar xzf "$archive" -C "$staging" --no-same-owner
from=$staging/$name
root=$staging/root
# dpkg-deb gives all files this time.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(stat --format %Y "$from/llmzip")}
export SOURCE_DATE_EPOCH

install -D "$from/llmzip" "$root/usr/bin/llmzip"
for link in unllmzip llmzcat llmz; do
    ln -s llmzip "$root/usr/bin/$link"
done
manual=$root/usr/share/man/man1
mkdir -p "$manual"
for page in "$from"/man/*.1; do
    target=$(sed -n 's/^\.so man1\/\(.*\)$/\1/p' "$page")
    if [ -n "$target" ]; then
        ln -s "$target.gz" "$manual/$(basename "$page").gz"
    else
        gzip -9nc "$page" >"$manual/$(basename "$page").gz"
    fi
done
share=$root/usr/share
install -Dm 644 "$from/completions/llmzip.bash" "$share/bash-completion/completions/llmzip"
install -Dm 644 "$from/completions/_llmzip" "$share/zsh/vendor-completions/_llmzip"
install -Dm 644 "$from/completions/llmzip.fish" "$share/fish/vendor_completions.d/llmzip.fish"
# The trigger of shared-mime-info reads the new file.
install -Dm 644 "$from/share/llmzip.xml" "$share/mime/packages/llmzip.xml"
# No package may add to the system's /etc/magic.
install -Dm 644 "$from/share/magic" "$share/llmzip/magic"
documents=$share/doc/llmzip
mkdir -p "$documents"
gzip -9nc "$from/CHANGELOG.md" >"$documents/changelog.gz"
{
    echo "llmzip ($version-1) unstable; urgency=medium"
    echo
    echo "  * Release $version; changelog.gz says what it changes."
    echo
    echo " -- $maintainer  $(LC_ALL=C date --utc --rfc-email --date "@$SOURCE_DATE_EPOCH")"
} | gzip -9n >"$documents/changelog.Debian.gz"
install -m 644 "$from/README.md" "$from/NOTICE" "$documents"
{
    echo "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/"
    echo "Upstream-Name: llmzip"
    [ -z "$repository" ] || echo "Source: $repository"
    echo
    echo "Files: *"
    echo "Copyright: $(sed -n 's/^Copyright (c) //p' "$from/LICENSE-MIT")"
    echo "License: Expat or Apache-2.0"
    echo "Comment: NOTICE names the texts that the built-in models were trained on."
    echo
    echo "License: Expat"
    sed '1,/^Copyright/d; s/^$/./; s/^/ /' "$from/LICENSE-MIT" | sed 1d
    echo
    echo "License: Apache-2.0"
    echo " On Debian systems, the licence is /usr/share/common-licenses/Apache-2.0."
} >"$documents/copyright"

# The oldest C library that has every symbol which the binary names.
libc=$(grep -ao 'GLIBC_2\.[0-9.]*' "$from/llmzip" | sed 's/GLIBC_//' | sort -Vu | tail -n 1)
[ -n "$libc" ] || {
    echo "deb.sh: $name/llmzip names no version of the C library" >&2
    exit 1
}
mkdir "$root/DEBIAN"
{
    echo "Package: llmzip"
    echo "Version: $version-1"
    echo "Architecture: $architecture"
    echo "Maintainer: $maintainer"
    echo "Installed-Size: $(du -k --apparent-size --summarize "$root/usr" | cut -f 1)"
    echo "Depends: libc6 (>= $libc), libgcc-s1 (>= 4.2)"
    echo "Section: utils"
    echo "Priority: optional"
    [ -z "$repository" ] || echo "Homepage: $repository"
    echo "Description: lossless compressor in which a language model predicts"
    fold -sw 78 <<<"$description." | sed 's/ *$//; s/^/ /'
    echo " Four small models are part of the program; larger ones can be fetched."
} >"$root/DEBIAN/control"
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)

package=$out/llmzip_$version-1_$architecture.deb
dpkg-deb --root-owner-group -Zxz --build "$root" "$package" >/dev/null
echo "$package"

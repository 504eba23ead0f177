#!/usr/bin/env bash
# Tries everything in this folder, as far as this machine can:
#
#     packaging/check.sh [PROGRAM]
#
# PROGRAM is target/release/llmzip without the argument. Each trial is named; one that needs a tool
# which this machine lacks is skipped, and the last lines name it. The whole takes a minute.
set -euo pipefail
program=$(realpath "${1:-${CARGO_TARGET_DIR:-$(dirname "$0")/../target}/release/llmzip}")
cd "$(dirname "$0")/.."

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
skipped=()

trial() {
    echo "== packaging: $*"
}
# Whether all tools are here; if not, the trial $1 is skipped.
has() {
    local name=$1 tool
    shift
    for tool in "$@"; do
        command -v "$tool" >/dev/null || {
            skipped+=("$name: this machine has no $tool")
            return 1
        }
    done
}
fail() {
    echo "check.sh: $*" >&2
    exit 1
}
# The command behind $1 must fail and say $1.
refuses() {
    local wanted=$1
    shift
    if "$@" >"$work/said" 2>&1; then fail "must fail: $*"; fi
    grep -qF -- "$wanted" "$work/said" ||
        fail "'$*' does not say '$wanted' but: $(cat "$work/said")"
}

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
here=$(rustc -vV | sed -n 's/^host: //p')
[ -x "$program" ] || fail "$program is not a program"
cp docs/FORMAT.md "$work/text"
"$program" compress --quiet "$work/text"

trial scripts
for script in packaging/*.sh; do
    case $script in
    */install.sh) sh -n "$script" ;;
    *) bash -n "$script" ;;
    esac
done
if has "lint of scripts" shellcheck; then
    shellcheck packaging/*.sh
fi

trial "magic of file(1)"
if has "magic of file(1)" file; then
    shows() {
        local shown
        shown=$(file --brief -m packaging/magic "$1")
        [ "$shown" = "llmzip $2" ] || fail "file shows $1 as '$shown'"
    }
    good=tests/golden/good
    data="compressed data, format 1"
    fixture="model 9b477d67e4d52001 (fixture)"
    prime="needs prime c8a4d9b9b914561e"
    shows $good/experts.llmz "$data, no model"
    shows $good/light.llmz "$data, no model, light experts"
    shows $good/model.llmz "$data, $fixture"
    shows $good/model-alone.llmz "$data, $fixture, no experts"
    shows $good/primed-experts.llmz "$data, no model, $prime"
    shows $good/primed.llmz "$data, $fixture, $prime"
    shows $good/unchecked.llmz "$data, $fixture, without checksums of the original"
    shows fixtures/fixture.llmzmodel "packed model"
    # A built-in model has no name in the header, so the prime stands elsewhere.
    "$program" compress --quiet --prime README.md -o "$work/primed.llmz" "$work/text"
    # `info` shows the identity of the model, then that of the prime.
    identities=$("$program" info "$work/primed.llmz" |
        sed -n 's/.*blake3 \([0-9a-f]\{16\}\).*/\1/p' | paste -s -d ' ')
    shows "$work/primed.llmz" "$data, model ${identities% *}, needs prime ${identities#* }"
    [ "$(file --brief --mime-type -m packaging/magic "$work/text.llmz")" = application/x-llmzip ]
    if file --brief -m packaging/magic "$work/text" "$program" | grep llmzip; then
        fail "neither is compressed"
    fi
fi

trial "MIME types"
base=/usr/share/mime/packages/freedesktop.org.xml
if has "MIME types against the schema" xmllint update-mime-database; then
    # shared-mime-info has its document type at the head of its own types.
    {
        head -n 1 packaging/llmzip.xml
        sed -n '/<!DOCTYPE/,/\]>/p' "$base"
        sed 1d packaging/llmzip.xml
    } >"$work/types.xml"
    xmllint --valid --noout "$work/types.xml"
fi
if has "MIME types of files" update-mime-database gio; then
    install -D packaging/llmzip.xml "$work/data/mime/packages/llmzip.xml"
    export XDG_DATA_HOME=$work/data
    update-mime-database "$XDG_DATA_HOME/mime"
    cp "$work/text.llmz" "$work/nameless"
    cp "$work/text.llmz" "$work/text.tar.llmz"
    is_type() {
        gio info -a standard::content-type "$1" | grep -q " application/x-llmzip$2\$" ||
            fail "the type of $1 is not application/x-llmzip$2"
    }
    is_type "$work/nameless" ""
    is_type "$work/text.tar.llmz" -compressed-tar
    is_type fixtures/fixture.llmzmodel -model
    unset XDG_DATA_HOME
fi

trial archives
# Archives of other machines hold this machine's program: only their names matter here.
dist=$work/www/llmzip/releases/download/v$version
targets="aarch64-apple-darwin x86_64-apple-darwin"
targets="$targets aarch64-unknown-linux-gnu x86_64-unknown-linux-gnu"
case " $targets " in
*" $here "*) ;;
*) targets="$targets $here" ;;
esac
for target in $targets; do
    install -D "$program" "$work/target/$target/release/llmzip"
    CARGO_TARGET_DIR=$work/target packaging/archive.sh "$target" "$dist"
    rm "$work/target/$target/release/llmzip"
done
tar xzf "$dist/llmzip-$version-$here.tar.gz" -C "$work"
archive=$work/llmzip-$version-$here
cmp "$program" "$archive/llmzip"
for link in unllmzip llmzcat llmz llmzip llmzip-compress; do
    [ -s "$archive/man/$link.1" ] || fail "no page $link.1"
done
if has "manual pages" man; then
    for page in "$archive"/man/*.1; do
        # Pages that stand for another one name it as man1/NAME.
        said=$(cd "$archive" && ln -sfn man man1 &&
            MANWIDTH=80 man --warnings -E UTF-8 -l "$page" 2>&1 >/dev/null)
        [ -z "$said" ] || fail "$page: $said"
    done
fi
bash -n "$archive/completions/llmzip.bash"
if has "completions of zsh" zsh; then zsh -n "$archive/completions/_llmzip"; fi
if has "completions of fish" fish; then fish --no-execute "$archive/completions/llmzip.fish"; fi

trial release
# Half a minute less than the level of a release.
export DPKG_DEB_COMPRESSOR_LEVEL=0
port=
if has "installation from a server" python3; then
    python3 -u -m http.server --bind 127.0.0.1 --directory "$work/www" 0 \
        >"$work/port" 2>"$work/requests" &
    server=$!
    until [ -n "$port" ]; do
        sleep 0.1
        port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$work/port")
    done
fi
if has "release, Debian package, installation, formula" dpkg-deb; then
    export REPOSITORY=http://127.0.0.1:${port:-0}/llmzip
    packaging/release.sh "$dist" >/dev/null
    (cd "$dist" && sha256sum --quiet --check SHA256SUMS)

    trial "Debian package"
    deb=$dist/llmzip_$version-1_amd64.deb
    dpkg-deb --extract "$deb" "$work/root"
    dpkg-deb --control "$deb" "$work/root/DEBIAN"
    (cd "$work/root" && md5sum --quiet --check DEBIAN/md5sums)
    "$work/root/usr/bin/llmzip" cat "$work/text.llmz" | cmp - "$work/text"
    for link in unllmzip llmzcat llmz; do
        "$work/root/usr/bin/$link" --version >/dev/null
        [ -e "$work/root/usr/share/man/man1/$link.1.gz" ]
    done
    linux=$dist/llmzip-$version-x86_64-unknown-linux-gnu.tar.gz
    packaging/deb.sh "$linux" "$work/again" >/dev/null
    cmp "$deb" "$work/again/$(basename "$deb")"
    if has "lint of the Debian package" lintian; then
        # The package closes no bug of Debian, and the placeholder of the maintainer has no address.
        lintian --allow-root --fail-on error,warning --suppress-tags \
            initial-upload-closes-no-bugs,bogus-mail-host "$deb"
    fi

    trial "installation"
    [ -n "$port" ] ||
        sed -i "s|^repository=.*|repository='file://$work/www/llmzip'|" "$dist/install.sh"
    for shell in dash bash busybox; do
        has "installation under $shell" $shell || continue
        case $shell in
        busybox) sh=(busybox sh) ;;
        *) sh=("$shell") ;;
        esac
        prefix="$work/prefix of $shell"
        "${sh[@]}" "$dist/install.sh" --prefix "$prefix" >"$work/said"
        "$prefix/bin/llmzip" cat "$work/text.llmz" | cmp - "$work/text"
        [ "$(readlink "$prefix/bin/llmzcat")" = llmzip ]
        diff <(cd "$prefix" && find . ! -type d | sed 's|^\./||' | LC_ALL=C sort) \
            <(echo share/llmzip/installed | LC_ALL=C sort - "$prefix/share/llmzip/installed")
        # Again, over a version that had another file.
        touch "$prefix/bin/llmold"
        echo bin/llmold >>"$prefix/share/llmzip/installed"
        "${sh[@]}" "$dist/install.sh" --prefix "$prefix" --from "$dist" >"$work/said"
        [ ! -e "$prefix/bin/llmold" ]
        "${sh[@]}" "$dist/install.sh" --prefix "$prefix" --uninstall >"$work/said"
        [ -z "$(find "$prefix" ! -type d)" ] || fail "left: $(find "$prefix" ! -type d)"
        refuses "has no llmzip" "${sh[@]}" "$dist/install.sh" --prefix "$prefix" --uninstall
    done
    # A run that is killed at its third file can be repeated, or undone.
    mkdir "$work/killer"
    cat >"$work/killer/mv" <<'END'
#!/bin/sh
echo >>"$0.calls"
if [ "$(wc -l <"$0.calls")" = 3 ]; then kill -KILL $PPID; fi
exec /bin/mv "$@"
END
    chmod +x "$work/killer/mv"
    prefix=$work/killed
    for action in "" --uninstall; do
        rm -f "$work/killer/mv.calls"
        # The shell between says so.
        refuses Killed env PATH="$work/killer:$PATH" \
            bash -c '"$@"; exit $?' - sh "$dist/install.sh" --prefix "$prefix"
        sh "$dist/install.sh" --prefix "$prefix" $action >"$work/said"
    done
    [ -z "$(find "$prefix" ! -type d)" ] || fail "left: $(find "$prefix" ! -type d)"
    # What must be refused leaves nothing.
    prefix=$work/none
    mkdir -p "$prefix/bin" "$work/bad"
    echo "#!/bin/sh" >"$prefix/bin/llmz"
    refuses "bin/llmz exists" sh "$dist/install.sh" --prefix "$prefix"
    [ ! -e "$prefix/bin/llmzip" ]
    cp "$dist"/* "$work/bad"
    # One byte is another one.
    printf x | dd of="$work/bad/llmzip-$version-$here.tar.gz" \
        bs=1 seek=5000 conv=notrunc status=none
    rm "$prefix/bin/llmz"
    refuses "has SHA-256" sh "$dist/install.sh" --prefix "$prefix" --from "$work/bad"
    sed -i "/$here/d" "$work/bad/SHA256SUMS"
    refuses "does not list" sh "$dist/install.sh" --prefix "$prefix" --from "$work/bad"
    refuses "cannot fetch" sh "$dist/install.sh" --prefix "$prefix" --version 0.0.1
    refuses "HOME is not set" env -u HOME sh "$dist/install.sh"
    refuses "which version" sh packaging/install.sh --prefix "$prefix"
    refuses "where are the archives" sh packaging/install.sh --prefix "$prefix" --version "$version"
    [ -z "$(find "$prefix" ! -type d)" ] || fail "left: $(find "$prefix" ! -type d)"

    trial "Homebrew formula"
    if has "Homebrew formula" ruby; then
        ruby packaging/formula_trial.rb "$dist/llmzip.rb" "$dist" "$here" "$work/brew"
        "$work/brew/bin/llmzcat" --version >/dev/null
        for target in aarch64-apple-darwin x86_64-apple-darwin aarch64-unknown-linux-gnu; do
            ruby packaging/formula_trial.rb "$dist/llmzip.rb" "$dist" $target "$work/brew-$target"
        done
    fi
fi

trial "cargo binstall"
# The places that Cargo.toml names, with what binstall puts in, are those of the archives.
binstall() {
    sed -n '/^\[package.metadata.binstall\]/,/^$/s/^'"$1"' = "\(.*\)"$/\1/p' Cargo.toml |
        sed "s|{ repo }|$work/www/llmzip|; s|{ name }|llmzip|g; s|{ version }|$version|g
             s|{ target }|$here|g; s|{ archive-suffix }|.tar.gz|
             s|{ bin }|llmzip|; s|{ binary-ext }||"
}
[ -f "$(binstall pkg-url)" ] || fail "no archive at $(binstall pkg-url)"
tar xzf "$(binstall pkg-url)" -O "$(binstall bin-dir)" | cmp - "$program"

trial "conda recipe"
if has "conda recipe" python3; then
    if python3 -c "import rattler_build" 2>/dev/null; then
        python3 packaging/conda/check.py
    else
        skipped+=("conda recipe: this machine has no Python package py-rattler-build")
    fi
fi

trial Dockerfile
if has "lint of the Dockerfile" hadolint; then hadolint packaging/Dockerfile; fi
if has "container image" docker; then
    if docker info >/dev/null 2>&1; then
        docker build --quiet --tag llmzip-trial --file packaging/Dockerfile .
        docker run --rm --interactive llmzip-trial cat <"$work/text.llmz" | cmp - "$work/text"
        docker image rm llmzip-trial >/dev/null
    else
        skipped+=("container image: no docker daemon runs here")
    fi
fi

echo "all trials passed"
for line in "${skipped[@]}"; do
    echo "skipped: $line"
done

#!/usr/bin/env bash
# What .github/workflows/release.yml does with what `make package` left in dist/.
#
#   release.sh tag TAG           checks that the tag is that of this version, and that the WIT is kept as released
#   release.sh publish REGISTRY  pushes the WIT package and the components, each under its version, to
#                                REGISTRY (ghcr.io/OWNER), with the login that docker has for it
#   release.sh assets            prints the files of the release
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version() { sed -n '/^\[workspace.package\]$/,/^$/s/^version = "\(.*\)"$/\1/p' Cargo.toml; }

fail() {
    echo "release.sh: $1" >&2
    exit 1
}

tag() {
    [ "$1" = "v$(version)" ] || fail "the tag $1 is not that of this version: in Cargo.toml it is $(version)"
    # Against which the next version is held.
    diff -r wit tests/fixtures/released-wit >/dev/null ||
        fail "keep the WIT that is released: rm -r tests/fixtures/released-wit && cp -r wit tests/fixtures/released-wit"
}

# Of the WIT package, which is not that of the components: a release that leaves the interface
# as it is has a new one of those alone.
wit_version() { sed -n 's/^package provider:connection-cache@\(.*\);$/\1/p' wit/*.wit; }

publish() {
    local registry=$1 wkg file name
    wkg=$(scripts/tools.sh wkg)
    (cd dist && sha256sum --check --quiet SHA256SUMS)
    for file in $(assets); do
        name=$(basename "$file" .wasm)
        case $file in
        # wkg looks for the package NAMESPACE:NAME under this name.
        *.wit.wasm) push "$wkg" "$file" "$registry/provider/connection-cache:$(wit_version)" ;;
        *.wasm) push "$wkg" "$file" "$registry/$name:$(version)" ;;
        esac
    done
}

# What is published under a version stays as it is.
push() {
    local wkg=$1 file=$2 reference=$3 there errors
    there=$(mktemp)
    if errors=$("$wkg" oci pull --output "$there" "$reference" 2>&1); then
        cmp -s "$file" "$there" || fail "$reference is there already, and is another: set a new version"
        echo "$reference is there already"
    elif [[ ${errors,,} =~ not.?found|unknown ]]; then
        "$wkg" oci push ${SOURCE_URL:+--annotation "org.opencontainers.image.source=$SOURCE_URL"} "$reference" "$file"
    else
        fail "whether $reference is there cannot be told: $errors"
    fi
    rm "$there"
}

assets() { sed 's|^[0-9a-f]*  |dist/|' dist/SHA256SUMS && echo dist/SHA256SUMS; }

case "${1:-} $#" in
"tag 2" | "publish 2" | "assets 1") "$@" ;;
*) fail "usage: release.sh tag TAG | publish REGISTRY | assets" ;;
esac

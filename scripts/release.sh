#!/usr/bin/env bash
# What .github/workflows/release.yml does with what `make package` left in dist/.
#
#   release.sh tag TAG           checks that the tag is that of this version
#   release.sh publish REGISTRY  pushes the WIT package and the components, each under its version, to
#                                REGISTRY (ghcr.io/OWNER), with the login that docker has for it
#   release.sh assets            prints the files of the release
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version() { sed -n '/^\[workspace.package\]$/,/^$/s/^version = "\(.*\)"$/\1/p' Cargo.toml; }

tag() {
    [ "$1" = "v$(version)" ] || {
        echo "the tag $1 is not that of this version: in Cargo.toml it is $(version)" >&2
        exit 1
    }
}

# Of the WIT package, which is not that of the components: a release that leaves the interface
# as it is has a new one of those alone.
wit_version() { sed -n 's/^package provider:connection-cache@\(.*\);$/\1/p' wit/*.wit; }

publish() {
    local registry=$1 wkg version file name
    wkg=$(scripts/tools.sh wkg)
    version=$(version)
    (cd dist && sha256sum --check --quiet SHA256SUMS)
    # wkg looks for the package NAMESPACE:NAME under this name.
    push "$wkg" dist/provider-connection-cache.wit.wasm "$registry/provider/connection-cache:$(wit_version)"
    for file in dist/*.cdx.json; do
        name=$(basename "$file" .cdx.json)
        push "$wkg" "dist/$name.wasm" "$registry/$name:$version"
    done
}

# What is published under a version stays as it is.
push() {
    local wkg=$1 file=$2 reference=$3
    if "$wkg" oci pull --output /dev/null "$reference" 2>/dev/null; then
        echo "$reference is there already"
        return
    fi
    "$wkg" oci push ${SOURCE_URL:+--annotation "org.opencontainers.image.source=$SOURCE_URL"} "$reference" "$file"
}

assets() { sed 's|^[0-9a-f]*  |dist/|' dist/SHA256SUMS && echo dist/SHA256SUMS; }

"$@"

#!/usr/bin/env bash
# `make package`: adds the WIT package and the checksums to what `make build` and `make templates` leave
# in dist/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wkg=$(scripts/tools.sh wkg)
package=provider-connection-cache.wit.wasm
"$wkg" build --output "dist/$package"
scripts/step.sh "comparing $package with wit/" cargo run --profile host -p xtask -- check-wit "dist/$package"

# What is released, and nothing else that lies there.
cd dist
files=("$package" provider-connection-cache-templates.tar.gz)
for name in provider-connection-cache{,-spin,-middleware} provider-connection-explorer; do
    files+=("$name.wasm" "$name.cdx.json")
done
sha256sum "${files[@]}" >SHA256SUMS
sha256sum --check --quiet SHA256SUMS
cat SHA256SUMS

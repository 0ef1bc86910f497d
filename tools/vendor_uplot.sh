#!/usr/bin/env bash
# Fetch the charting library that pages carry inside them, from the npm registry, and check that it is the one meant.
#
#   tools/vendor_uplot.sh            writes k2d/explore/page/vendor/{uPlot.js,uPlot.css,LICENSE.uPlot}
#
# The built files are taken as published. Another version: change the two lines below, run, look at the pages.
set -euo pipefail

version=1.6.32
sha256=4b8a8191e425658e3ea8c8c1314b0fc679c861ee3a1af2b20c7b16ba50b5133d # of the registry's archive

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
vendor=${here}/k2d/explore/page/vendor
work=$(mktemp -d)
trap 'rm -rf "${work}"' EXIT

(cd "${work}" && npm pack --silent "uplot@${version}" >/dev/null)
echo "${sha256}  ${work}/uplot-${version}.tgz" | sha256sum --check --quiet
tar -xzf "${work}/uplot-${version}.tgz" -C "${work}"
mkdir -p "${vendor}"
cp "${work}/package/dist/uPlot.iife.min.js" "${vendor}/uPlot.js"
cp "${work}/package/dist/uPlot.min.css" "${vendor}/uPlot.css"
cp "${work}/package/LICENSE" "${vendor}/LICENSE.uPlot"
echo "uPlot ${version}: ${vendor}"

#!/usr/bin/env bash
# Install Chromium for the tests of the web pages, which are skipped without it. Nothing is done if Chromium is
# installed. Otherwise the package of Debian or Ubuntu is installed, which needs apt-get and root.
set -euo pipefail

for name in chromium chromium-browser google-chrome; do
  if command -v "$name" > /dev/null; then
    echo "$name is installed: $(command -v "$name")"
    exit 0
  fi
done

if ! command -v apt-get > /dev/null; then
  echo "Chromium is not installed, and neither is apt-get" >&2
  echo "  install Chromium or Google Chrome such that 'chromium' or 'google-chrome' is on the PATH" >&2
  exit 1
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo > /dev/null || ! sudo -n true 2> /dev/null; then
    echo "installing Chromium needs root" >&2
    echo "  run: sudo apt-get install chromium" >&2
    exit 1
  fi
  as_root=(sudo)
fi

"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium
command -v chromium

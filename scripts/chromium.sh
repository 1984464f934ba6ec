#!/usr/bin/env bash
# Chromium for the tests of the pages. Does nothing where there is one; installs Debian's or Ubuntu's package where
# apt and root are there; elsewhere it says what to do. Without Chromium those tests are skipped.
set -euo pipefail

for name in chromium chromium-browser google-chrome; do
  if command -v "$name" > /dev/null; then
    echo "$name is there: $(command -v "$name")"
    exit 0
  fi
done

if ! command -v apt-get > /dev/null; then
  echo "there is no Chromium, and no apt-get to install it with" >&2
  echo "  install Chromium or Google Chrome so that 'chromium' or 'google-chrome' can be run" >&2
  exit 1
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo > /dev/null || ! sudo -n true 2> /dev/null; then
    echo "installing Chromium needs root" >&2
    echo "  say: sudo apt-get install chromium" >&2
    exit 1
  fi
  as_root=(sudo)
fi

"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium
command -v chromium

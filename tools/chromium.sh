#!/bin/sh
# Chromium and its driver for the browser tests, from Debian's packages where that is possible.
if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing chromium and chromium-driver for the browser tests"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        chromium chromium-driver fonts-dejavu-core >/dev/null && exit 0
fi
echo "no Chromium with chromedriver here, and no way to install them: the browser tests will be skipped"

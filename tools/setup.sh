# setup.sh: sourced by the other scripts: steps, logs, packages, build.
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu
cd "$(dirname "$0")/.."
begun=$(date +%s)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 1' HUP INT TERM

# step TEXT...: says what comes next, and after how many minutes and seconds.
step () {
  seconds=$(($(date +%s) - begun))
  printf '* %d:%02d %s\n' $((seconds / 60)) $((seconds % 60)) "$*"
}

# Runs a command silently; at its failure shows the end of what it printed.
quietly () {
  if ! "$@" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    printf 'failed: %s\n' "$*" >&2
    exit 1
  fi
}

# as_root COMMAND...: by sudo, if we are not root.
as_root () {
  if [ "$(id -u)" = 0 ]; then
    quietly "$@"
  else
    quietly sudo "$@"
  fi
}

# Whether we are root or can become it.
can_be_root () {
  [ "$(id -u)" = 0 ] || command -v sudo >/dev/null
}

# Prints which of some packages are not installed: for this architecture,
# unless the name says another.
missing_of () {
  for p in "$@"; do
    case $p in
      *:*) arch=${p#*:} ;;
      *) arch=$(dpkg --print-architecture) ;;
    esac
    dpkg-query -W -f='${Status} ${Architecture}\n' "$p" 2>/dev/null \
      | grep -Eqx "install ok installed (all|$arch)" || printf ' %s' "$p"
  done
}

# Installs Debian packages that are missing; needs no network if none is. Two
# runs that install at once wait for each other.
packages () {
  missing=$(missing_of "$@")
  [ -n "$missing" ] || return 0
  step "install$missing"
  can_be_root || {
    echo "failed: these packages are missing, and there is neither root" \
      "nor sudo to install them:$missing" >&2
    exit 1
  }
  case $missing in
    *:arm64*) as_root dpkg --add-architecture arm64 ;;
  esac
  as_root flock /var/lib/apt apt-get update
  as_root flock /var/lib/apt env DEBIAN_FRONTEND=noninteractive \
    apt-get -o DPkg::Lock::Timeout=600 \
    install -y --no-install-recommends --no-remove $missing
}

# What building needs, and what the pipelines of demo and tests need.
build_packages () {
  packages gcc libc6-dev meson ninja-build pkg-config libglib2.0-dev \
    libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libjansson-dev \
    libprotobuf-c-dev protobuf-c-compiler libcairo2-dev gstreamer1.0-tools \
    gstreamer1.0-plugins-base gstreamer1.0-plugins-good alsa-utils
}

# configure DIR [meson option...]: once.
configure () {
  [ -f "$1/build.ninja" ] || quietly meson setup "$@"
}

# build DIR [meson option...]: configures, then builds everything.
build () {
  configure "$@"
  quietly ninja -C "$1"
}

# One run at a time works in this folder: this one, or the script that calls it.
if [ "${SEQ_FOLDER:-}" != "$PWD" ]; then
  exec 9<tools/setup.sh
  flock -n 9 || {
    step "wait for another run in this folder to end"
    flock 9
  }
  export SEQ_FOLDER="$PWD"
fi

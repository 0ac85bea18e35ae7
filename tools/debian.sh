#!/bin/sh
# debian.sh: runs a check of this project in a fresh Debian of any suite.
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: debian.sh SUITE COMMAND...
#
#   sh tools/debian.sh trixie sh tools/check.sh test
#
# SUITE (bookworm, trixie, ...) is unpacked by debootstrap in build-SUITE/, from
# the archive that this machine's apt has its packages from, and is used again
# by the next run. The sources are copied there, and COMMAND runs in the copy;
# check.sh installs what it needs. So nothing of this machine is in the way but
# its kernel and ../shared, if there is such a folder. Needs root or sudo. Where
# such a Debian cannot be made it says why and ends with 77, otherwise with the
# status of COMMAND.
. "$(dirname "$0")/setup.sh"

suite=$1
shift
root=$PWD/build-$suite

# skip REASON...: says why this cannot be done here, and ends.
skip () {
  step "SKIPPED: Debian $suite: $*"
  exit 77
}

# The archive of Debian that apt knows.
find_archive () {
  apt-get indextargets --format '$(ORIGIN)/$(LABEL) $(REPO_URI)' \
    'Created-By: Packages' | sed -n 's|^Debian/Debian ||p' | head -n 1
}

unpack () {
  archive=$(find_archive)
  [ -n "$archive" ] || skip "apt has no archive of Debian"
  (packages debootstrap debian-archive-keyring) \
    || skip "debootstrap cannot be installed, as above"
  step "unpack Debian $suite in build-$suite/"
  as_root rm -rf "$root.new"
  (as_root debootstrap --variant=minbase "$suite" "$root.new" "$archive") \
    || skip "debootstrap fails as above"
  # it can be made again, so nothing waits for the disk
  as_root sh -c 'echo force-unsafe-io >"$1/etc/dpkg/dpkg.cfg.d/unsafe-io"' \
    sh "$root.new"
  as_root mv "$root.new" "$root"
}

can_be_root || skip "there is neither root nor sudo"
as_root unshare --mount --pid --fork true \
  || skip "no namespaces of mounts and processes"
[ -d "$root" ] || unpack

# What was built there stays, so that only what has changed is built.
step "copy the sources to Debian $suite"
copy=$root/src/seqfilter
[ "$(id -u)" = 0 ] || sudo=sudo
as_root mkdir -p "$copy" "$root/src/shared"
as_root find "$copy" -mindepth 1 -maxdepth 1 ! -name 'build*' \
  -exec rm -rf {} +
tar -c --exclude='./build*' --exclude=./.git --exclude=./demo . \
  | ${sudo:-} tar -x -C "$copy" --no-same-owner

step "in Debian $suite: $*"
${sudo:-} unshare --mount --pid --fork sh -c '
root=$1
shift
mount -t proc proc "$root/proc"
[ ! -d ../shared ] || mount --bind ../shared "$root/src/shared"
exec chroot "$root" env --chdir=/src/seqfilter --unset=TMPDIR HOME=/root \
  LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
' sh "$root" "$@"

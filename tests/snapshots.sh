#!/bin/sh
# snapshots.sh: each machine resumes the snapshots of every other.
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: snapshots.sh MACHINE...
# A machine is a command that runs snapshots.c's program on it.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
status=0
for writer in "$@"; do
  $writer write "$folder" || exit 1
  for reader in "$@"; do
    echo "# from $writer to $reader"
    $reader read "$folder" || status=1
  done
done
exit $status

#!/bin/sh
# bits.sh PROGRAM: runs bits.c's program on each instruction set of this machine.
# SPDX-License-Identifier: LGPL-2.1-or-later
set -e
for isa in c avx2 avx512 avx512vnni; do
  SEQ_ISA=$isa "$1"
done | sort -u

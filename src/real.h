/* real.h: the numbers that models compute with.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The core and every kind are also built in double precision: the reference
 * that tests compare with.
 */
#pragma once

#ifdef SEQ_DOUBLE
typedef double real;
#else
typedef float real;
#endif

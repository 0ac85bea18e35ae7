/* tsan.c: tells ThreadSanitizer of GLib's locks.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * GMutex and GCond wait through futexes of their own, and GLib is not built
 * with the sanitizer, so it would see no order between the threads that take
 * them. These take the places of GLib's functions, for every library in the
 * process. (GRecMutex is pthread's, which the sanitizer knows.)
 */
#include <dlfcn.h>
#include <glib.h>
#include <sanitizer/tsan_interface.h>

#define REAL(f)                                                                \
  static __typeof__ (f) *real;                                                 \
  if (!__atomic_load_n (&real, __ATOMIC_RELAXED))                              \
  __atomic_store_n (&real, dlsym (RTLD_NEXT, #f), __ATOMIC_RELAXED)

void
g_mutex_lock (GMutex *mutex)
{
  REAL (g_mutex_lock);
  real (mutex);
  __tsan_acquire (mutex);
}

gboolean
g_mutex_trylock (GMutex *mutex)
{
  gboolean locked;

  REAL (g_mutex_trylock);
  locked = real (mutex);
  if (locked)
    __tsan_acquire (mutex);
  return locked;
}

void
g_mutex_unlock (GMutex *mutex)
{
  REAL (g_mutex_unlock);
  __tsan_release (mutex);
  real (mutex);
}

void
g_cond_wait (GCond *cond, GMutex *mutex)
{
  REAL (g_cond_wait);
  __tsan_release (mutex);
  real (cond, mutex);
  __tsan_acquire (mutex);
}

gboolean
g_cond_wait_until (GCond *cond, GMutex *mutex, gint64 end_time)
{
  gboolean signalled;

  REAL (g_cond_wait_until);
  __tsan_release (mutex);
  signalled = real (cond, mutex, end_time);
  __tsan_acquire (mutex);
  return signalled;
}

/* signals.c: signals that tests and benches learn from.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tests/signals.h"

#include <math.h>
#include <string.h>

/* The samples of the data chunk of a mono 16 bit WAV, appended to `all`. */
static gboolean
append_wav (const char *path, GArray *all, double *rate)
{
  g_autofree char *bytes = NULL;
  gsize size, at = 12;

  if (!g_file_get_contents (path, &bytes, &size, NULL) || size < 44)
    return FALSE;
  while (at + 8 <= size) {
    guint32 chunk = GUINT32_FROM_LE (*(guint32 *) (bytes + at + 4));

    if (memcmp (bytes + at, "fmt ", 4) == 0 && at + 16 <= size)
      *rate = GUINT32_FROM_LE (*(guint32 *) (bytes + at + 12));
    if (memcmp (bytes + at, "data", 4) == 0) {
      for (gsize i = at + 8; i + 2 <= MIN (size, at + 8 + chunk); i += 2) {
        float x = (gint16) GUINT16_FROM_LE (*(guint16 *) (bytes + i)) / 32768.f;

        g_array_append_val (all, x);
      }
      return TRUE;
    }
    at += 8 + chunk + chunk % 2;
  }
  return FALSE;
}

static TestSignal
take (const char *name, double rate, GArray *all)
{
  guint n = all->len;

  return (TestSignal){ .name = name,
    .rate = rate,
    .n_frames = n,
    .x = n ? (float *) g_array_free (all, FALSE)
           : (g_array_free (all, TRUE), NULL) };
}

TestSignal
test_signal_speech (void)
{
  static const char *const files[] = { "Front_Center", "Front_Left",
    "Front_Right", "Rear_Center", "Rear_Left", "Rear_Right", "Side_Left",
    "Side_Right" };
  GArray *all = g_array_new (FALSE, FALSE, sizeof (float));
  double rate = 48000;

  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autofree char *path =
        g_strdup_printf ("/usr/share/sounds/alsa/%s.wav", files[i]);

    append_wav (path, all, &rate);
  }
  return take ("speech", rate, all);
}

TestSignal
test_signal_wav (const char *path, guint max_frames)
{
  GArray *all = g_array_new (FALSE, FALSE, sizeof (float));
  double rate = 0;

  append_wav (path, all, &rate);
  if (all->len > max_frames)
    g_array_set_size (all, max_frames);
  return take ("wav", rate, all);
}

TestSignal
test_signal_sine (void)
{
  TestSignal s = { .name = "sine", .rate = 48000, .n_frames = 4 * 48000 };

  s.x = g_new (float, s.n_frames);
  for (guint i = 0; i < s.n_frames; i++)
    s.x[i] = (float) (0.5 * sin (2 * G_PI * 440 * i / s.rate));
  return s;
}

TestSignal
test_signal_sensor (void)
{
  TestSignal s = { .name = "sensor", .rate = 10, .n_frames = 12000 };
  g_autoptr (GRand) rand = g_rand_new_with_seed (10);
  double drift = 0;

  s.x = g_new (float, s.n_frames);
  for (guint i = 0; i < s.n_frames; i++) {
    drift = 0.95 * drift + g_rand_double_range (rand, -0.3, 0.3);
    s.x[i] = (float) (1000 + 2 * sin (2 * G_PI * i / 600)
                      + sin (2 * G_PI * i / 35) + drift);
  }
  return s;
}

void
test_signal_clear (TestSignal *signal)
{
  g_clear_pointer (&signal->x, g_free);
}

/* test_states.c: states that were saved: of older versions, damaged, hostile.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * tests/states-1 holds states of version 1, as tests/snapshots.c of commit
 * 2d0e085 wrote them with SEQ_ISA=c: of two channels, each in the middle of a
 * learner's window; `signal` is what comes next, and NAME.predicted what was
 * predicted of it.
 */
#include "src/live/snapshot.h"

#include <math.h>
#include <string.h>

#define CHANNELS 2
#define FRAMES 600
#define TOLERANCE 2e-5

typedef struct {
  const char *name;
  gboolean has_learner; /* by gradient */
} Old;

static GBytes *
read_file (const char *name)
{
  g_autofree char *path = g_build_filename (
      g_getenv ("SEQ_SOURCE"), "tests", "states-1", name, NULL);
  g_autoptr (GError) error = NULL;
  char *data;
  gsize size;

  g_file_get_contents (path, &data, &size, &error);
  g_assert_no_error (error);
  return g_bytes_new_take (data, size);
}

static void
run (SeqStream *stream, float *x, float *y, guint n)
{
  gpointer in_channel[CHANNELS], out_channel[CHANNELS];
  SeqSignal in = { SEQ_FORMAT_F32, in_channel, CHANNELS };
  SeqSignal out = { SEQ_FORMAT_F32, out_channel, CHANNELS };

  for (guint c = 0; c < CHANNELS; c++) {
    in_channel[c] = x + c;
    out_channel[c] = y + c;
  }
  seq_stream_process (stream, &in,
      (const SeqSignal *[SEQ_N_OUTPUTS]){ [SEQ_OUTPUT_PREDICTION] = &out }, n,
      1, 1, 0);
}

static float *
read_signal (void)
{
  g_autoptr (GBytes) signal = read_file ("signal");
  gsize size;
  gconstpointer data = g_bytes_get_data (signal, &size);

  g_assert_cmpuint (size, ==, FRAMES * CHANNELS * sizeof (float));
  return g_memdup2 (data, size);
}

static GBytes *
read_state (const char *name)
{
  g_autofree char *file = g_strconcat (name, ".snapshot", NULL);

  return read_file (file);
}

/* An older state goes on to the same bits; where a learner takes the difference
 * of three numbers in another order since, to TOLERANCE of the signal. */
static void
test_old (gconstpointer data)
{
  const Old *old = data;
  g_autoptr (GBytes) state = read_state (old->name), predicted = NULL;
  g_autofree char *file = g_strconcat (old->name, ".predicted", NULL);
  g_autofree float *x = read_signal ();
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqStream) stream = seq_snapshot_load (state, 0, &error);
  float y[FRAMES * CHANNELS];
  const float *theirs;
  double power = 0, difference = 0;

  g_assert_no_error (error);
  predicted = read_file (file);
  theirs = g_bytes_get_data (predicted, NULL);
  g_assert_cmpuint (g_bytes_get_size (predicted), ==, sizeof y);
  run (stream, x, y, FRAMES);
  for (guint k = 0; k < FRAMES * CHANNELS; k++) {
    power += (double) x[k] * x[k];
    difference += pow ((double) y[k] - theirs[k], 2);
  }
  g_test_message ("differs by %.1e", sqrt (difference / power));
  g_assert_cmpfloat (
      sqrt (difference / power), <=, old->has_learner ? TOLERANCE : 0);
}

static void
assert_refused (GBytes *state, gint code, const char *says)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqStream) stream = seq_snapshot_load (state, 0, &error);

  g_assert_null (stream);
  g_assert_error (error, SEQ_ERROR, code);
  if (!strstr (error->message, says))
    g_error ("%s; expected something of %s", error->message, says);
}

/* What ar keeps is another than it was: its older states are refused, and the
 * error says that they are older. */
static void
test_old_ar (void)
{
  g_autoptr (GBytes) state = read_state ("ar");

  assert_refused (state, SEQ_ERROR_DAMAGED, "by an older seqfilter");
}

/* A state as it is saved today. */
static GBytes *
save (SeqStream *stream)
{
  gsize size = seq_stream_state_size (stream);
  g_autofree gpointer state = g_malloc (size);

  seq_stream_get_state (stream, state);
  return seq_snapshot_save (seq_stream_model (stream),
      seq_stream_config (stream), seq_stream_n_channels (stream), state, size);
}

static GBytes *
resave (const char *name)
{
  g_autoptr (GBytes) old = read_state (name);
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqStream) stream = seq_snapshot_load (old, 0, &error);

  g_assert_no_error (error);
  return save (stream);
}

/* A copy with another text of the same length in its metadata. */
static GBytes *
replace (GBytes *state, const char *from, const char *to)
{
  gsize n;
  const char *bytes = g_bytes_get_data (state, &n);
  const char *at = g_strstr_len (bytes + 8, (gssize) n - 8, from); /* header */
  guint8 *copy = g_memdup2 (bytes, n);

  g_assert_nonnull (at);
  g_assert_cmpuint (strlen (from), ==, strlen (to));
  memcpy (copy + (at - bytes), to, strlen (to));
  return g_bytes_new_take (copy, n);
}

/* Other versions are refused by name. */
static void
test_version (void)
{
  g_autoptr (GBytes) state = resave ("rnn");
  g_autoptr (GBytes) newer = replace (state, "\"(2, [", "\"(3, [");
  g_autoptr (GBytes) none = replace (state, "\"(2, [", "\"(0, [");
  g_autoptr (GBytes) without =
      replace (state, "seqfilter.checksum", "seqfilter.chocksum");

  assert_refused (newer, SEQ_ERROR_UNSUPPORTED,
      "the version is 3; expected 1 to 2, which this seqfilter knows");
  assert_refused (none, SEQ_ERROR_UNSUPPORTED, "the version is 0; expected");
  assert_refused (without, SEQ_ERROR_DAMAGED, "the checksum is ");
}

/* Any byte that is another than it was is found. */
static void
test_flipped (void)
{
  g_autoptr (GBytes) state = resave ("rnn");
  gsize n;
  const guint8 *bytes = g_bytes_get_data (state, &n);

  for (gsize i = 0; i < n; i++) {
    g_autofree guint8 *copy = g_memdup2 (bytes, n);
    g_autoptr (GBytes) flipped = NULL;
    g_autoptr (SeqStream) stream = NULL;

    copy[i] ^= 1 << i % 8;
    flipped = g_bytes_new_take (g_steal_pointer (&copy), n);
    stream = seq_snapshot_load (flipped, 0, NULL);
    if (stream)
      g_error ("byte %" G_GSIZE_FORMAT " of %" G_GSIZE_FORMAT, i, n);
  }
}

/* Someone who writes states on purpose makes the checksum fit, or leaves it out
 * as version 1 did. What then passes gives finite output. */
static void
test_hostile (gconstpointer name)
{
  static const guint64 odd[] = { 0, G_MAXUINT64,
    0x7ff0000000000000, /* infinity */
    0xbff0000000000000, /* -1 */
    0x7fe0000000000000, /* 9e307 */
    0x7f8000007f800000, /* two infinities */
    0x7f7fffff7f7fffff, /* two of 3e38 */
    0xffffffff00000001 };
  g_autoptr (GBytes) state = read_state (name);
  g_autofree float *x = read_signal ();
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  gsize n, n_header;
  const guint8 *bytes = g_bytes_get_data (state, &n);
  guint64 length;
  guint n_passed = 0;

  memcpy (&length, bytes, sizeof length);
  n_header = 8 + GUINT64_FROM_LE (length);
  for (guint i = 0; i < 1000; i++) {
    g_autofree guint8 *copy = g_memdup2 (bytes, n);
    gsize at =
        n_header
        + (gsize) g_rand_int_range (rand, 0, (gint32) ((n - n_header) / 8)) * 8;
    g_autoptr (GBytes) mutated = NULL;
    g_autoptr (SeqStream) stream = NULL;
    float y[FRAMES * CHANNELS];

    memcpy (copy + at, &odd[i % G_N_ELEMENTS (odd)], 8);
    mutated = g_bytes_new_take (g_steal_pointer (&copy), n);
    stream = seq_snapshot_load (mutated, 0, NULL);
    if (!stream)
      continue;
    n_passed++;
    run (stream, x, y, 150);
    for (guint k = 0; k < 150 * CHANNELS; k++)
      if (!isfinite (y[k]))
        g_error ("%s: 8 bytes at %" G_GSIZE_FORMAT ": output %u is %g",
            (const char *) name, at, k, y[k]);
  }
  g_test_message ("%u of 1000 pass", n_passed);
}

int
main (int argc, char **argv)
{
  static const Old olds[] = { { "gru", TRUE }, { "lstm", TRUE },
    { "lstm-int8", FALSE }, { "markov", FALSE }, { "naive", FALSE },
    { "rnn", FALSE } };

  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (olds); i++) {
    g_autofree char *old = g_strconcat ("/states/old/", olds[i].name, NULL);
    g_autofree char *hostile =
        g_strconcat ("/states/hostile/", olds[i].name, NULL);

    g_test_add_data_func (old, &olds[i], test_old);
    g_test_add_data_func (hostile, olds[i].name, test_hostile);
  }
  g_test_add_func ("/states/old/ar", test_old_ar);
  g_test_add_func ("/states/version", test_version);
  g_test_add_func ("/states/flipped", test_flipped);
  return g_test_run ();
}

/* workers.c: threads that share out the jobs of an update or an evaluation.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/train/workers.h"
#include "src/cpu.h"

struct _SeqWorkers {
  GThreadPool *pool; /* NULL: one thread */
  GMutex lock;
  GCond done;
};

/* One call of seq_workers_run(). */
typedef struct {
  SeqJob job;
  gpointer data;
  guint n_left; /* under lock */
} Run;

typedef struct {
  Run *run;
  guint i;
} Item;

static void
do_item (gpointer pushed, gpointer user_data)
{
  SeqWorkers *workers = user_data;
  const Item *item = pushed;
  Run *run = item->run;
  guint64 ftz = seq_ftz_begin ();

  run->job (run->data, item->i);
  seq_ftz_end (ftz);
  g_mutex_lock (&workers->lock);
  if (--run->n_left == 0)
    g_cond_signal (&workers->done);
  g_mutex_unlock (&workers->lock);
}

SeqWorkers *
seq_workers_new (guint n_threads)
{
  SeqWorkers *workers = g_new0 (SeqWorkers, 1);

  g_mutex_init (&workers->lock);
  g_cond_init (&workers->done);
  if (n_threads > 1)
    workers->pool =
        g_thread_pool_new (do_item, workers, (gint) n_threads, TRUE, NULL);
  return workers;
}

void
seq_workers_free (SeqWorkers *workers)
{
  if (!workers)
    return;
  if (workers->pool)
    g_thread_pool_free (workers->pool, FALSE, TRUE);
  g_mutex_clear (&workers->lock);
  g_cond_clear (&workers->done);
  g_free (workers);
}

static void
run_in_pool (SeqWorkers *workers, guint n, SeqJob job, gpointer data)
{
  Run run = { job, data, n };
  g_autofree Item *items = g_new (Item, n);

  for (guint i = 0; i < n; i++) {
    items[i] = (Item){ &run, i };
    g_thread_pool_push (workers->pool, &items[i], NULL);
  }
  g_mutex_lock (&workers->lock);
  while (run.n_left > 0)
    g_cond_wait (&workers->done, &workers->lock);
  g_mutex_unlock (&workers->lock);
}

void
seq_workers_run (SeqWorkers *workers, guint n, SeqJob job, gpointer data)
{
  guint64 ftz;

  if (workers->pool) {
    run_in_pool (workers, n, job, data);
    return;
  }
  ftz = seq_ftz_begin ();
  for (guint i = 0; i < n; i++)
    job (data, i);
  seq_ftz_end (ftz);
}

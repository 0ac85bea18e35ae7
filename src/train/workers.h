/* workers.h: threads that share out the jobs of an update or an evaluation.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _SeqWorkers SeqWorkers;
typedef void (*SeqJob) (gpointer data, guint i);

/* n_threads <= 1: the caller's thread does all the work. */
SeqWorkers *seq_workers_new (guint n_threads);
void seq_workers_free (SeqWorkers *workers);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqWorkers, seq_workers_free)

/* Calls job (data, i) once for every i < n, in any order and several at a time,
 * with denormals flushed to zero; returns when all have returned. For one
 * caller at a time. */
void seq_workers_run (SeqWorkers *workers, guint n, SeqJob job, gpointer data);

G_END_DECLS

/* statedict.c: PyTorch's state_dict: what its names and shapes say, and the
 * formats that hold one and nothing else.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A recurrent module P has P weight_ih_l{k}, weight_hh_l{k}, bias_ih_l{k},
 * bias_hh_l{k}, weight_hr_l{k} (projection); the Cell classes have no _l{k}.
 * The class follows from the rows and columns of weight_hh. Other modules have
 * a weight and perhaps a bias: a matrix is linear, rank 3 a convolution, a
 * vector a norm or PReLU.
 *
 * The order in which modules run is not in the file: it is the one in which
 * their widths fit, or of several the one that their names tell, or it has to
 * be said. Hints say what else a state_dict cannot (relu, residual,
 * activations). Every tensor is used, or refused by name.
 */
#include "src/io/statedict.h"
#include "src/io/json.h"
#include "src/model-facts.h"

#include <math.h>
#include <string.h>

#define MAX_MODULES 64
#define EPSILON 1e-5 /* PyTorch's, of norms */
#define LEAK 0.01    /* PyTorch's, of LeakyReLU */

const char *const seq_state_dict_hints[] = { "nonlinearity", "head",
  "head_activation", "modules", NULL };

/* PyTorch's classes, by how many times more rows than columns weight_hh has. */
static const char *const kind_of_gates[] = {
  [1] = "rnn", [3] = "gru", [4] = "lstm"
};

/* What can stand between modules without having weights. */
static const char *const activations[] = { "tanh", "relu", "sigmoid", "softmax",
  "elu", "leaky_relu", NULL };

typedef struct {
  enum {
    RECURRENT,
    LINEAR,
    CONVOLUTION,
    BATCH_NORM,
    LAYER_NORM,
    PRELU,
    ACTIVATION /* of that name; only where `modules` says so */
  } kind;
  char *path;     /* "lstm." */
  gboolean cell;  /* of a Cell class */
  guint n_layers; /* of a recurrent one */
  guint dilation; /* of a convolution */
  /* features; a norm has as many out as in, and 0 goes with any width */
  guint n_in, n_out;
} Module;

/* The tensors, and which of them the model has. */
typedef struct {
  GPtrArray *arrays; /* SeqArray */
  GHashTable *used;  /* of them, a set */
} Dict;

static void
module_free (gpointer data)
{
  Module *module = data;

  g_free (module->path);
  g_free (module);
}

static const SeqArray *
find (const Dict *dict, const char *path, const char *name)
{
  gsize n = strlen (path);

  for (guint i = 0; i < dict->arrays->len; i++) {
    const SeqArray *a = dict->arrays->pdata[i];

    if (strncmp (a->name, path, n) == 0 && strcmp (a->name + n, name) == 0)
      return a;
  }
  return NULL;
}

static const SeqArray *
find_layer (const Dict *dict, const Module *module, const char *what, guint k)
{
  char name[64];

  if (module->cell)
    return find (dict, module->path, what);
  g_snprintf (name, sizeof name, "%s_l%u", what, k);
  return find (dict, module->path, name);
}

/* "stack2.lstm10" after "stack2.lstm9": digits count as numbers. */
static gint
natural (const char *a, const char *b)
{
  while (*a && *b) {
    if (g_ascii_isdigit (*a) && g_ascii_isdigit (*b)) {
      guint64 x = g_ascii_strtoull (a, (char **) &a, 10);
      guint64 y = g_ascii_strtoull (b, (char **) &b, 10);

      if (x != y)
        return x < y ? -1 : 1;
    } else if (*a != *b) {
      return (guchar) *a < (guchar) *b ? -1 : 1;
    } else {
      a++;
      b++;
    }
  }
  return (*a != 0) - (*b != 0);
}

static gint
by_path (gconstpointer a, gconstpointer b)
{
  return natural ((*(Module *const *) a)->path, (*(Module *const *) b)->path);
}

/* Why a tensor cannot be run, by its name; NULL if it can. */
static const char *
why_not (const char *name)
{
  if (strstr (name, "_reverse"))
    return "bidirectional modules cannot run on a stream";
  if (strstr (name, "parametrizations.") || g_str_has_suffix (name, "_g")
      || g_str_has_suffix (name, "_v"))
    return "weight_norm and parametrizations must be removed before saving";
  if (strstr (name, "_packed_params"))
    return "quantised modules cannot be read";
  return NULL;
}

static gboolean
is_recurrent (const char *name)
{
  return strstr (name, "weight_ih") || strstr (name, "weight_hh")
         || strstr (name, "bias_ih") || strstr (name, "bias_hh")
         || strstr (name, "weight_hr");
}

/* A tensor that no run needs: counters, nothing at all, and what a training has
 * beside the model. */
static gboolean
is_no_part (const SeqArray *a)
{
  return a->n_values == 0 || g_str_has_suffix (a->name, "num_batches_tracked")
         || g_str_has_prefix (a->name, "aux.") || strstr (a->name, ".aux.");
}

static Module *
add_module (GPtrArray *modules, guint kind, const char *tensor, gsize n_name)
{
  Module *module = g_new0 (Module, 1);

  module->kind = kind;
  module->path = g_strndup (tensor, strlen (tensor) - n_name);
  module->dilation = 1;
  g_ptr_array_add (modules, module);
  return module;
}

static guint
clip_width (guint64 width)
{
  return (guint) MIN (width, SEQ_MAX_WIDTH + 1);
}

/* A module with a tensor called weight, or a norm that has none. */
static void
find_module (const Dict *dict, const SeqArray *a, GPtrArray *modules)
{
  gboolean norm = g_str_has_suffix (a->name, "running_mean");
  const char *name = norm ? "running_mean" : "weight";
  g_autofree char *path = NULL;
  Module *module;
  guint kind;

  if (!g_str_has_suffix (a->name, name) || is_recurrent (a->name)
      || is_no_part (a))
    return;
  path = g_strndup (a->name, strlen (a->name) - strlen (name));
  if (norm ? find (dict, path, "weight") != NULL
           : *path && !g_str_has_suffix (path, "."))
    return;
  if (a->rank == 2 || (a->rank == 3 && a->shape[2] == 1))
    kind = LINEAR;
  else if (a->rank == 3)
    kind = CONVOLUTION;
  else if (a->rank != 1)
    return;
  else if (find (dict, path, "running_mean"))
    kind = BATCH_NORM;
  else
    kind = find (dict, path, "bias") ? LAYER_NORM : PRELU;
  module = add_module (modules, kind, a->name, strlen (name));
  module->n_out = clip_width (a->shape[0]);
  module->n_in = module->n_out;
  if (kind == LINEAR || kind == CONVOLUTION)
    module->n_in = clip_width (a->shape[1]); /* of one group */
  if (kind == PRELU && a->n_values == 1)
    module->n_in = module->n_out = 0;
}

/* Counts the layers of a module: consecutive k from 0. */
static gboolean
count_layers (const Dict *dict, Module *module, GError **error)
{
  guint n = 0, highest = 0;

  while (!module->cell && find_layer (dict, module, "weight_hh", n))
    n++;
  module->n_layers = module->cell ? 1 : n;
  for (guint i = 0; i < dict->arrays->len && !module->cell; i++) {
    const SeqArray *a = dict->arrays->pdata[i];
    const char *at = strstr (a->name, "_l");

    if (g_str_has_prefix (a->name, module->path)
        && is_recurrent (a->name + strlen (module->path)) && at)
      highest = MAX (highest, (guint) g_ascii_strtoull (at + 2, NULL, 10));
  }
  if (!module->cell && highest >= n) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "module '%s': there is a layer %u, but no layer %u; expected all up to "
        "the last",
        module->path, highest, n);
    return FALSE;
  }
  return TRUE;
}

/* Whether all tensors of recurrent modules have one. */
static gboolean
check_recurrent (const Dict *dict, const GPtrArray *modules, GError **error)
{
  for (guint i = 0; i < dict->arrays->len; i++) {
    const SeqArray *a = dict->arrays->pdata[i];
    gboolean belongs = !is_recurrent (a->name);

    for (guint m = 0; m < modules->len && !belongs; m++) {
      const Module *module = modules->pdata[m];

      belongs =
          module->kind == RECURRENT && g_str_has_prefix (a->name, module->path);
    }
    if (!belongs) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
          "tensor '%s' is alone; expected weight_hh_l0 beside it", a->name);
      return FALSE;
    }
  }
  return TRUE;
}

static void
find_widths (const Dict *dict, Module *module)
{
  const SeqArray *ih = find_layer (dict, module, "weight_ih", 0);
  const SeqArray *hr =
      find_layer (dict, module, "weight_hr", module->n_layers - 1);
  const SeqArray *hh =
      find_layer (dict, module, "weight_hh", module->n_layers - 1);

  module->n_in = ih && ih->rank == 2 ? clip_width (ih->shape[1]) : 0;
  module->n_out = clip_width (hr              ? hr->shape[0]
                              : hh->rank == 2 ? hh->shape[1]
                                              : 0);
}

/* All modules, in the order of their names. */
static GPtrArray *
find_modules (const Dict *dict, GError **error)
{
  g_autoptr (GPtrArray) modules = g_ptr_array_new_with_free_func (module_free);
  guint n_recurrent = 0;

  for (guint i = 0; i < dict->arrays->len; i++) {
    const SeqArray *a = dict->arrays->pdata[i];
    const char *why = why_not (a->name), *at = strstr (a->name, "weight_hh");

    if (why) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED, "tensor '%s': %s",
          a->name, why);
      return NULL;
    }
    if (at && (!strcmp (at, "weight_hh_l0") || !strcmp (at, "weight_hh"))) {
      add_module (modules, RECURRENT, a->name, strlen (at))->cell =
          strcmp (at, "weight_hh") == 0;
      n_recurrent++;
    }
  }
  if (!check_recurrent (dict, modules, error))
    return NULL;
  if (n_recurrent == 0) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "no tensor is called ...weight_hh_l0; expected one of a recurrent "
        "module");
    return NULL;
  }
  for (guint i = 0; i < dict->arrays->len; i++)
    find_module (dict, dict->arrays->pdata[i], modules);
  if (modules->len > MAX_MODULES) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "there are %u modules; expected at most %u", modules->len, MAX_MODULES);
    return NULL;
  }
  g_ptr_array_sort (modules, by_path);
  for (guint m = 0; m < modules->len; m++) {
    Module *module = modules->pdata[m];

    if (module->kind != RECURRENT)
      continue;
    if (!count_layers (dict, module, error))
      return NULL;
    find_widths (dict, module);
  }
  return g_steal_pointer (&modules);
}

static gboolean
set (Dict *dict, SeqBuilder *builder, guint layer, const char *tensor,
    const SeqArray *a, const SeqLayout *layout, GError **error)
{
  /* a 1 x 1 convolution's weight is a matrix too */
  gboolean matrix = a->rank == 2 || (a->rank == 3 && a->shape[2] == 1);

  g_hash_table_add (dict->used, (gpointer) a);
  if (!matrix && a->rank != 1) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "tensor '%s' has rank %u; expected 1 or 2", a->name, a->rank);
    return FALSE;
  }
  return seq_builder_set (builder, layer, tensor, a->name, a->values,
      (gsize) a->shape[0], matrix ? (gsize) a->shape[1] : 1, layout, error);
}

/* The two biases of a GRU: they add up for r and z, and stay separate for n. */
static gboolean
set_gru_biases (Dict *dict, SeqBuilder *builder, guint layer,
    const SeqArray *ih, const SeqArray *hh, gsize h, GError **error)
{
  static const SeqLayout add = { .add = TRUE };
  g_autofree double *rz = NULL;

  if (ih->n_values != 3 * h || hh->n_values != 3 * h) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "tensors '%s' and '%s' have %zu and %zu values; expected %zu each",
        ih->name, hh->name, ih->n_values, hh->n_values, 3 * h);
    return FALSE;
  }
  g_hash_table_add (dict->used, (gpointer) hh);
  rz = g_memdup2 (hh->values, 3 * h * sizeof (double));
  memset (rz + 2 * h, 0, h * sizeof (double));
  return set (dict, builder, layer, "bias", ih, NULL, error)
         && seq_builder_set (
             builder, layer, "bias", hh->name, rz, 3 * h, 1, &add, error)
         && seq_builder_set (builder, layer, "bias_hn", hh->name,
             hh->values + 2 * h, h, 1, NULL, error);
}

/* Adds layer k of a recurrent module. Returns its output width, or 0. */
static guint
add_layer (SeqBuilder *builder, Dict *dict, const Module *module, guint k,
    guint n_in, GVariant *hints, GError **error)
{
  static const SeqLayout add = { .add = TRUE };
  const SeqArray *ih = find_layer (dict, module, "weight_ih", k);
  const SeqArray *hh = find_layer (dict, module, "weight_hh", k);
  const SeqArray *b_ih = find_layer (dict, module, "bias_ih", k);
  const SeqArray *b_hh = find_layer (dict, module, "bias_hh", k);
  const SeqArray *hr = find_layer (dict, module, "weight_hr", k);
  const char *nonlinearity = "tanh", *kind, *before;
  guint64 rows, h, gates;
  GVariantDict config;
  gint layer;

  if (!ih || !hh || !b_ih != !b_hh) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "module '%s': layer %u has no %s", module->path, k,
        !ih     ? "weight_ih"
        : !hh   ? "weight_hh"
        : !b_ih ? "bias_ih, but a bias_hh"
                : "bias_hh, but a bias_ih");
    return 0;
  }
  if (hh->rank != 2 || ih->rank != 2 || (hr && hr->rank != 2)
      || ih->shape[0] != hh->shape[0]) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "tensors '%s' and '%s' have ranks %u and %u and %" G_GUINT64_FORMAT
        " and %" G_GUINT64_FORMAT
        " rows; expected matrices with the same number of rows",
        ih->name, hh->name, ih->rank, hh->rank, ih->shape[0], hh->shape[0]);
    return 0;
  }
  rows = hh->shape[0];
  h = hr ? hr->shape[1] : hh->shape[1];
  gates = h ? rows / h : 0;
  if (h < 1 || h > SEQ_MAX_UNITS || rows % h
      || gates >= G_N_ELEMENTS (kind_of_gates) || !kind_of_gates[gates]
      || (hr && gates != 4)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "tensor '%s' has %" G_GUINT64_FORMAT " rows for %" G_GUINT64_FORMAT
        " units of at most %u; expected 1 (RNN), 3 (GRU) or 4 (LSTM) times as "
        "many",
        hh->name, rows, h, SEQ_MAX_UNITS);
    return 0;
  }
  if (ih->shape[1] != n_in) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "tensor '%s' has %" G_GUINT64_FORMAT
        " columns; expected %u, the inputs of its layer",
        ih->name, ih->shape[1], n_in);
    return 0;
  }
  kind = kind_of_gates[gates];
  before = k ? seq_builder_layer (builder, seq_builder_n_layers (builder) - 1)
                   ->klass->kind.name
             : kind;
  if (!g_str_equal (kind, before)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "module '%s': layer %u is %s; expected %s, as the one before it",
        module->path, k, kind, before);
    return 0;
  }
  g_variant_dict_init (&config, NULL);
  g_variant_dict_insert (&config, "hidden_size", "u", (guint) h);
  if (hr)
    g_variant_dict_insert (&config, "proj_size", "u", (guint) hr->shape[0]);
  if (gates == 1) {
    g_variant_lookup (hints, "nonlinearity", "&s", &nonlinearity);
    g_variant_dict_insert (&config, "nonlinearity", "s", nonlinearity);
  }
  layer = seq_builder_add (builder, kind, g_variant_dict_end (&config), error);
  if (layer < 0
      || !set (dict, builder, (guint) layer, "weight_ih", ih, NULL, error)
      || !set (dict, builder, (guint) layer, "weight_hh", hh, NULL, error)
      || (hr
          && !set (dict, builder, (guint) layer, "weight_hr", hr, NULL, error)))
    return 0;
  if (b_ih
      && !(gates == 3
               ? set_gru_biases (
                   dict, builder, (guint) layer, b_ih, b_hh, (gsize) h, error)
               : set (dict, builder, (guint) layer, "bias", b_ih, NULL, error)
                     && set (dict, builder, (guint) layer, "bias", b_hh, &add,
                         error)))
    return 0;
  return seq_builder_layer (builder, (guint) layer)->n_out;
}

/* --- the order --------------------------------------------------------------
 */

/* The place of a word in a name among the usual ones; -1: it tells nothing. */
static gint
rank_of (const char *word, gsize n)
{
  static const struct {
    const char *word;
    gint rank;
  } usual[] = { { "input", 0 }, { "in", 0 }, { "embed", 0 }, { "embedding", 0 },
    { "pre", 0 }, { "frontend", 0 }, { "front", 0 }, { "enc", 1 },
    { "encoder", 1 }, { "rnn", 2 }, { "lstm", 2 }, { "gru", 2 }, { "rec", 2 },
    { "recurrent", 2 }, { "core", 2 }, { "dec", 3 }, { "decoder", 3 },
    { "post", 4 }, { "lin", 4 }, { "linear", 4 }, { "fc", 4 }, { "dense", 4 },
    { "head", 4 }, { "readout", 4 }, { "out", 5 }, { "output", 5 } };

  for (guint i = 0; i < G_N_ELEMENTS (usual); i++)
    if (strlen (usual[i].word) == n
        && g_ascii_strncasecmp (usual[i].word, word, n) == 0)
      return usual[i].rank;
  return -1;
}

/* Whether names tell that one module runs before another: -1 or 1, or 0. Parts
 * are compared from the left; the first that differ must be a number or usual
 * words: "encoder.lstm" and "decoder.lstm", "rnn" and "rnn2". */
static gint
told_order (const char *a, const char *b)
{
  while (*a && *b) {
    gsize n_a = strspn (a, G_CSET_a_2_z G_CSET_A_2_Z);
    gsize n_b = strspn (b, G_CSET_a_2_z G_CSET_A_2_Z);

    if (g_ascii_isdigit (*a) && g_ascii_isdigit (*b)) {
      guint64 x = g_ascii_strtoull (a, (char **) &a, 10);
      guint64 y = g_ascii_strtoull (b, (char **) &b, 10);

      if (x != y)
        return x < y ? -1 : 1;
    } else if ((*a == '.' && g_ascii_isdigit (*b))
               || (*b == '.' && g_ascii_isdigit (*a))) {
      return *a == '.' ? -1 : 1; /* the first may have no number */
    } else if (n_a != n_b || g_ascii_strncasecmp (a, b, MAX (n_a, 1)) != 0) {
      gint x = rank_of (a, n_a), y = rank_of (b, n_b);

      return x < 0 || y < 0 || x == y ? 0 : x < y ? -1 : 1;
    } else {
      a += MAX (n_a, 1);
      b += MAX (n_a, 1);
    }
  }
  return 0;
}

typedef struct {
  const GPtrArray *modules;
  guint order[MAX_MODULES], found[MAX_MODULES]; /* of `found` the latest */
  gboolean taken[MAX_MODULES];
  gboolean told; /* only orders that no name contradicts */
  guint n_found; /* orders */
  guint n_steps; /* at most MAX_STEPS */
} Search;

#define MAX_STEPS 100000

static gboolean
may_follow (const Search *s, guint n, guint width, guint m)
{
  const Module *next = s->modules->pdata[m];

  if (s->taken[m] || (n > 0 && next->n_in && width && next->n_in != width))
    return FALSE;
  /* with an order to be told by names, all that come later must be told so */
  for (guint i = 0; s->told && i < s->modules->len; i++) {
    const Module *other = s->modules->pdata[i];

    if (!s->taken[i] && i != m && told_order (next->path, other->path) >= 0)
      return FALSE;
  }
  return TRUE;
}

/* Goes through the orders in which widths fit, up to two. */
static void
search (Search *s, guint n, guint width)
{
  if (n == s->modules->len) {
    s->n_found++;
    memcpy (s->found, s->order, sizeof s->order);
    return;
  }
  for (guint m = 0; m < s->modules->len && s->n_found < 2; m++) {
    const Module *next = s->modules->pdata[m];

    if (++s->n_steps > MAX_STEPS || !may_follow (s, n, width, m))
      continue;
    s->taken[m] = TRUE;
    s->order[n] = m;
    search (s, n + 1, next->n_out ? next->n_out : width);
    s->taken[m] = FALSE;
  }
}

/* "front, norm, gru": how `modules` is given. */
static char *
list_modules (const GPtrArray *modules)
{
  GString *list = g_string_new (NULL);

  for (guint m = 0; m < modules->len; m++) {
    const Module *module = modules->pdata[m];
    gsize n = strlen (module->path);

    g_string_append_printf (
        list, "%s%.*s", m ? "," : "", (int) (n ? n - 1 : 0), module->path);
  }
  return g_string_free (list, FALSE);
}

static gboolean
ask_for_order (const GPtrArray *modules, const char *why, GError **error)
{
  g_autofree char *list = list_modules (modules);

  g_set_error (error, SEQ_ERROR, SEQ_ERROR_HINT,
      "%s: set option modules to the modules in the order in which they run, "
      "with the activations between them, such as modules=%s",
      why, list);
  return FALSE;
}

/* Puts modules into the order in which they run. *by_name: several fit. */
static gboolean
order_modules (GPtrArray *modules, gboolean *by_name, GError **error)
{
  g_autoptr (GPtrArray) sorted = g_ptr_array_new ();
  Search s = { .modules = modules };

  search (&s, 0, 0);
  if (s.n_found == 0) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "there are %u modules whose widths do not fit in any order; expected "
        "the outputs of each to be the inputs of the next",
        modules->len);
    return FALSE;
  }
  *by_name = s.n_found > 1 || s.n_steps > MAX_STEPS;
  if (*by_name) {
    s = (Search){ .modules = modules, .told = TRUE };
    search (&s, 0, 0);
    if (s.n_found != 1)
      return ask_for_order (modules,
          "the modules fit in more than one order, and their names do not tell "
          "which",
          error);
  }
  for (guint i = 0; i < modules->len; i++)
    g_ptr_array_add (sorted, modules->pdata[s.found[i]]);
  memcpy (modules->pdata, sorted->pdata, modules->len * sizeof (gpointer));
  return TRUE;
}

/* --- the modules that run ----------------------------------------------------
 */

static Module *
activation_new (const char *name)
{
  Module *module = g_new0 (Module, 1);

  module->kind = ACTIVATION;
  module->path = g_strdup (name);
  return module;
}

/* One entry of `modules`: a path, with ":2" for a dilation, or an activation.
 * Takes it out of `all`. */
static Module *
find_named (GPtrArray *all, const char *entry, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (entry, ":", 2);
  g_autofree char *list = NULL, *path = NULL;
  guint64 dilation = 1;

  if (g_strv_contains (activations, entry))
    return activation_new (entry);
  path = *entry ? g_strconcat (parts[0], ".", NULL) : g_strdup ("");
  if (parts[0] && parts[1]
      && !g_ascii_string_to_unsigned (
          parts[1], 10, 1, G_MAXUINT16, &dilation, error)) {
    g_prefix_error (error, "option modules: dilation of %s: ", parts[0]);
    return NULL;
  }
  for (guint m = 0; m < all->len; m++) {
    Module *module = all->pdata[m];

    if (!g_str_equal (module->path, path))
      continue;
    module->dilation = (guint) dilation;
    return g_ptr_array_steal_index (all, m);
  }
  list = list_modules (all);
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_HINT,
      "option modules: '%s' is neither an activation nor a module that is "
      "left; "
      "expected some of %s",
      entry, list);
  return NULL;
}

/* The modules that the option names. */
static GPtrArray *
take_named (GPtrArray *all, const char *names, GError **error)
{
  g_auto (GStrv) entries = g_strsplit (names, ",", -1);
  g_autoptr (GPtrArray) modules = g_ptr_array_new_with_free_func (module_free);

  for (guint i = 0; entries[i]; i++) {
    Module *module = find_named (all, g_strstrip (entries[i]), error);

    if (!module)
      return NULL;
    g_ptr_array_add (modules, module);
  }
  return g_steal_pointer (&modules);
}

/* Moves the modules of a kind to a list of their own. */
static GPtrArray *
take_kind (GPtrArray *all, guint kind)
{
  GPtrArray *modules = g_ptr_array_new_with_free_func (module_free);

  for (guint m = 0; m < all->len;)
    if (((Module *) all->pdata[m])->kind == kind)
      g_ptr_array_add (modules, g_ptr_array_steal_index (all, m));
    else
      m++;
  return modules;
}

/* Of linear modules, those whose names begin so; the others are left out. */
static gboolean
choose_head (GPtrArray *linear, const char *wanted, GError **error)
{
  for (guint m = 0; m < linear->len;) {
    const Module *module = linear->pdata[m];
    g_autofree char *name = g_strconcat (module->path, "weight", NULL);

    if (g_str_has_prefix (name, wanted))
      m++;
    else
      g_ptr_array_remove_index (linear, m);
  }
  if (linear->len > 0)
    return TRUE;
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_HINT,
      "option head is '%s'; expected the beginning of a matrix' name: none "
      "is called that",
      wanted);
  return FALSE;
}

/* Whether linear modules follow each other after `width` features. */
static gboolean
is_chain (const GPtrArray *linear, guint width)
{
  for (guint m = 0; m < linear->len; m++) {
    const Module *module = linear->pdata[m];

    if (module->n_in != width)
      return FALSE;
    width = module->n_out;
  }
  return TRUE;
}

/* The usual net: recurrent modules, then linear ones. Both lists move to one.
 */
static GPtrArray *
join_head (GPtrArray *recurrent, GPtrArray *linear, const char *activation,
    GError **error)
{
  guint width = ((Module *) recurrent->pdata[recurrent->len - 1])->n_out;
  gboolean chain = is_chain (linear, width);

  if (linear->len > 1 && (!chain || !activation)) {
    const Module *a = linear->pdata[0], *b = linear->pdata[1];

    g_set_error (error, SEQ_ERROR, SEQ_ERROR_HINT,
        "tensors '%sweight' and '%sweight' can both be the head: set option %s",
        a->path, b->path,
        chain ? "head_activation to what is between them (tanh, relu, "
                "sigmoid, ...), or option head to the one of them that it is"
              : "head to the one that it is");
    return NULL;
  }
  while (linear->len > 0) {
    g_ptr_array_add (recurrent, g_ptr_array_steal_index (linear, 0));
    if (linear->len > 0)
      g_ptr_array_add (recurrent, activation_new (activation));
  }
  return g_ptr_array_ref (recurrent);
}

/* Recurrent modules and a head of linear ones; *all keeps what else there is.
 */
static GPtrArray *
take_usual (GPtrArray *all, GVariant *hints, gboolean *by_name, GError **error)
{
  g_autoptr (GPtrArray) recurrent = take_kind (all, RECURRENT);
  g_autoptr (GPtrArray) linear = take_kind (all, LINEAR);
  const char *head = NULL, *activation = NULL;

  g_variant_lookup (hints, "head", "&s", &head);
  g_variant_lookup (hints, "head_activation", "&s", &activation);
  if (!order_modules (recurrent, by_name, error)
      || (head && !choose_head (linear, head, error)))
    return NULL;
  return join_head (recurrent, linear, activation, error);
}

/* Whether nothing but the order is open, and there is one: several recurrent
 * modules, a norm, a linear module before the recurrent ones. */
static gboolean
has_order (const GPtrArray *all)
{
  guint width = 0, n_linear = 0, n_recurrent = 0;
  gboolean unusual = FALSE;
  Search s = { .modules = all };

  for (guint m = 0; m < all->len; m++) {
    const Module *module = all->pdata[m];

    if (module->kind == CONVOLUTION)
      return FALSE;
    unusual |= module->kind != RECURRENT && module->kind != LINEAR;
    if (module->kind == RECURRENT)
      width = module->n_out;
    n_recurrent += module->kind == RECURRENT;
    n_linear += module->kind == LINEAR;
  }
  for (guint m = 0; m < all->len; m++) {
    const Module *module = all->pdata[m];

    unusual |= n_linear == 1 && module->kind == LINEAR && module->n_in != width;
  }
  unusual |= n_linear <= 1 && n_recurrent > 1;
  if (unusual)
    search (&s, 0, 0);
  return s.n_found > 0;
}

/* Linear modules that follow each other need something between them. */
static gboolean
check_between (const GPtrArray *modules, GError **error)
{
  for (guint m = 1; m < modules->len; m++)
    if (((Module *) modules->pdata[m - 1])->kind == LINEAR
        && ((Module *) modules->pdata[m])->kind == LINEAR)
      return ask_for_order (
          modules, "two linear modules follow each other", error);
  return TRUE;
}

/* The modules that run, in order; *all keeps the others. */
static GPtrArray *
choose_modules (
    GPtrArray *all, GVariant *hints, gboolean *by_name, GError **error)
{
  const char *names, *head = NULL;
  g_autoptr (GPtrArray) modules = NULL;

  g_variant_lookup (hints, "head", "&s", &head);
  if (g_variant_lookup (hints, "modules", "&s", &names))
    return take_named (all, names, error);
  if (head || !has_order (all))
    return take_usual (all, hints, by_name, error);
  modules = g_ptr_array_ref (all);
  return order_modules (modules, by_name, error)
                 && check_between (modules, error)
             ? g_steal_pointer (&modules)
             : NULL;
}

/* --- building ----------------------------------------------------------------
 */

static gboolean
add_linear (SeqBuilder *builder, Dict *dict, const Module *module, guint width,
    GError **error)
{
  const SeqArray *weight = find (dict, module->path, "weight");
  const SeqArray *bias = find (dict, module->path, "bias");
  gint layer;

  if (weight->shape[1] != width) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "tensor '%s' has %" G_GUINT64_FORMAT
        " columns; expected %u, the outputs of the layers before it",
        weight->name, weight->shape[1], width);
    return FALSE;
  }
  layer = seq_builder_add (builder, "dense",
      g_variant_new_parsed (
          "{'out_features': <%u>, 'bias': <%u>}", module->n_out, bias != NULL),
      error);
  return layer >= 0
         && set (dict, builder, (guint) layer, "weight", weight, NULL, error)
         && (!bias
             || set (dict, builder, (guint) layer, "bias", bias, NULL, error));
}

/* [out][in / groups][kernel], which looks back alone: the file cannot say how
 * it was padded. Ours is [out][kernel, in / groups]. */
static gboolean
add_convolution (SeqBuilder *builder, Dict *dict, const Module *module,
    guint width, GError **error)
{
  const SeqArray *weight = find (dict, module->path, "weight");
  const SeqArray *bias = find (dict, module->path, "bias");
  gsize n_out = (gsize) weight->shape[0], n_in = (gsize) weight->shape[1];
  gsize n_taps = (gsize) weight->shape[2];
  g_autofree double *values = NULL;
  gint layer;

  if (n_in == 0 || width % n_in) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "tensor '%s' has %" G_GSIZE_FORMAT
        " inputs a group; expected a divisor of %u, the outputs of the layers "
        "before it",
        weight->name, n_in, width);
    return FALSE;
  }
  layer = seq_builder_add (builder, "conv1d",
      g_variant_new_parsed ("{'out_channels': <%u>, 'kernel_size': <%u>, "
                            "'dilation': <%u>, 'groups': <%u>}",
          module->n_out, (guint) MIN (n_taps, G_MAXUINT), module->dilation,
          (guint) (width / n_in)),
      error);
  if (layer < 0)
    return FALSE;
  values = g_new (double, weight->n_values + 1);
  for (gsize o = 0; o < n_out; o++)
    for (gsize i = 0; i < n_in; i++)
      for (gsize k = 0; k < n_taps; k++)
        values[(o * n_taps + k) * n_in + i] =
            weight->values[(o * n_in + i) * n_taps + k];
  g_hash_table_add (dict->used, (gpointer) weight);
  return seq_builder_set (builder, (guint) layer, "weight", weight->name,
             values, n_out, n_taps * n_in, NULL, error)
         && (!bias
             || set (dict, builder, (guint) layer, "bias", bias, NULL, error));
}

/* (x - mean) / sqrt (variance + epsilon) weight + bias, as a x + b */
static gboolean
add_batch_norm (
    SeqBuilder *builder, Dict *dict, const Module *module, GError **error)
{
  static const char *const names[] = { "running_mean", "running_var", "weight",
    "bias" };
  const SeqArray *arrays[G_N_ELEMENTS (names)];
  const double *values[G_N_ELEMENTS (names)];
  gsize n = module->n_out;
  g_autofree double *a = g_new (double, n + 1), *b = g_new (double, n + 1);
  gint layer;

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    arrays[i] = find (dict, module->path, names[i]);
    values[i] = arrays[i] ? arrays[i]->values : NULL;
    if (arrays[i] ? arrays[i]->n_values != n : i < 2) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
          "tensor '%s%s' %s; expected %" G_GSIZE_FORMAT " values", module->path,
          names[i], arrays[i] ? "has another size" : "is missing", n);
      return FALSE;
    }
    if (arrays[i])
      g_hash_table_add (dict->used, (gpointer) arrays[i]);
  }
  for (gsize i = 0; i < n; i++) {
    a[i] = (values[2] ? values[2][i] : 1) / sqrt (values[1][i] + EPSILON);
    b[i] = (values[3] ? values[3][i] : 0) - a[i] * values[0][i];
  }
  layer = seq_builder_add (builder, "scale", NULL, error);
  return layer >= 0
         && seq_builder_set (builder, (guint) layer, "weight", module->path, a,
             n, 1, NULL, error)
         && seq_builder_set (builder, (guint) layer, "bias", module->path, b, n,
             1, NULL, error);
}

static gboolean
add_layer_norm (
    SeqBuilder *builder, Dict *dict, const Module *module, GError **error)
{
  gint layer = seq_builder_add (builder, "layernorm", NULL, error);

  return layer >= 0
         && set (dict, builder, (guint) layer, "weight",
             find (dict, module->path, "weight"), NULL, error)
         && set (dict, builder, (guint) layer, "bias",
             find (dict, module->path, "bias"), NULL, error);
}

static gboolean
add_prelu (
    SeqBuilder *builder, Dict *dict, const Module *module, GError **error)
{
  const SeqArray *alpha = find (dict, module->path, "weight");
  gint layer = seq_builder_add (builder, "prelu",
      g_variant_new_parsed ("{'shared': <%u>}", alpha->n_values == 1), error);

  return layer >= 0
         && set (dict, builder, (guint) layer, "alpha", alpha, NULL, error);
}

static gboolean
add_activation (SeqBuilder *builder, const char *name, GError **error)
{
  static const double leak = LEAK;
  gint layer;

  if (!g_str_equal (name, "leaky_relu"))
    return seq_builder_add (builder, "activation",
               g_variant_new_parsed ("{'activation': <%s>}", name), error)
           >= 0;
  layer = seq_builder_add (
      builder, "prelu", g_variant_new_parsed ("{'shared': <1>}"), error);
  return layer >= 0
         && seq_builder_set (
             builder, (guint) layer, "alpha", name, &leak, 1, 1, NULL, error);
}

/* Adds a module after `width` features. Returns its output width, or 0. */
static guint
add_to (SeqBuilder *builder, Dict *dict, const Module *module, guint width,
    GVariant *hints, GError **error)
{
  gboolean added = TRUE;

  switch (module->kind) {
    case RECURRENT:
      for (guint k = 0; k < module->n_layers && width; k++)
        width = add_layer (builder, dict, module, k, width, hints, error);
      return width;
    case LINEAR:
      added = add_linear (builder, dict, module, width, error);
      break;
    case CONVOLUTION:
      added = add_convolution (builder, dict, module, width, error);
      break;
    case BATCH_NORM:
      added = add_batch_norm (builder, dict, module, error);
      break;
    case LAYER_NORM:
      added = add_layer_norm (builder, dict, module, error);
      break;
    case PRELU:
      added = add_prelu (builder, dict, module, error);
      break;
    case ACTIVATION:
      added = add_activation (builder, module->path, error);
      break;
  }
  return added ? seq_builder_layer (builder, seq_builder_n_layers (builder) - 1)
                     ->n_out
               : 0;
}

static gboolean
is_of_linear (const Dict *dict, const SeqArray *a)
{
  const char *dot = strrchr (a->name, '.');
  g_autofree char *path =
      g_strndup (a->name, dot ? (gsize) (dot - a->name) + 1 : 0);
  const SeqArray *weight = find (dict, path, "weight");

  return weight && weight->rank == 2;
}

/* Every tensor is part of the model, or an option has left it out on purpose:
 * then the model says so. */
static gboolean
check_used (
    SeqBuilder *builder, const Dict *dict, const SeqFile *file, GError **error)
{
  g_autoptr (GString) left_out = g_string_new (NULL);
  const char *option;
  gboolean named = g_variant_lookup (file->hints, "modules", "&s", &option);
  gboolean head = g_variant_lookup (file->hints, "head", "&s", &option);

  for (guint i = 0; i < dict->arrays->len; i++) {
    const SeqArray *a = dict->arrays->pdata[i];

    if (g_hash_table_contains (dict->used, a)
        || g_str_has_suffix (a->name, "num_batches_tracked"))
      continue;
    if (!named && !(head && is_of_linear (dict, a)) && !is_no_part (a)) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_HINT,
          "tensor '%s' is part of no module whose place is known: set option "
          "modules to those that run, in their order and with the activations "
          "between them, such as modules=conv,relu,lstm,fc; those that are not "
          "named are left out",
          a->name);
      return FALSE;
    }
    g_string_append_printf (
        left_out, "%s%s", left_out->len ? ", " : "", a->name);
  }
  if (left_out->len)
    seq_builder_set_metadata (builder, "left out", left_out->str);
  return TRUE;
}

static void
dict_clear (Dict *dict)
{
  g_hash_table_unref (dict->used);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Dict, dict_clear)

SeqBuilder *
seq_state_dict_build (GPtrArray *arrays, const SeqFile *file, GError **error)
{
  g_auto (Dict) dict = { arrays, g_hash_table_new (NULL, NULL) };
  g_autoptr (GPtrArray) all = find_modules (&dict, error), modules = NULL;
  g_autoptr (SeqBuilder) builder = NULL;
  gboolean by_name = FALSE;
  gsize size = 0;
  guint width = 0;

  if (all)
    modules = choose_modules (all, file->hints, &by_name, error);
  if (!modules)
    return NULL;
  for (guint i = 0; i < arrays->len; i++)
    size += ((SeqArray *) arrays->pdata[i])->n_values;
  for (guint m = 0; m < modules->len && width == 0; m++)
    width = ((Module *) modules->pdata[m])->n_in;
  builder = seq_reader_builder (width, size);
  for (guint m = 0; m < modules->len; m++) {
    width =
        add_to (builder, &dict, modules->pdata[m], width, file->hints, error);
    if (width == 0)
      return NULL;
  }
  if (!check_used (builder, &dict, file, error))
    return NULL;
  if (by_name) {
    g_autofree char *list = list_modules (modules);

    seq_builder_set_metadata (builder, "order by names", list);
  }
  return g_steal_pointer (&builder);
}

GPtrArray *
seq_arrays_new (void)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify) seq_array_free);
}

/* --- files that hold a state_dict and nothing else ---------------------------
 */

static gboolean
add_tensors (GPtrArray *arrays, const SeqSafetensors *file, GError **error)
{
  for (guint i = 0; i < file->tensors->len; i++) {
    const SeqTensorData *t = &g_array_index (file->tensors, SeqTensorData, i);
    SeqArray *array;

    /* counters and the like are not weights; a weight of a wrong type is an
     * error where it is needed */
    if (t->dtype > SEQ_DTYPE_BF16 && !strstr (t->name, "weight")
        && !strstr (t->name, "bias"))
      continue;
    array = seq_array_new (t->name);
    g_ptr_array_add (arrays, array);
    array->rank = t->rank;
    memcpy (array->shape, t->shape, sizeof array->shape);
    array->values = seq_tensor_data_to_doubles (t, &array->n_values, error);
    if (!array->values)
      return FALSE;
  }
  return TRUE;
}

static gboolean
add_lists (GPtrArray *arrays, json_t *root, GError **error)
{
  const char *key;
  json_t *value;

  json_object_foreach (root, key, value)
  {
    SeqArray *array;

    if (!json_is_array (value)) /* not a tensor */
      continue;
    array = seq_json_array (value, key, key, error);
    if (!array)
      return FALSE;
    g_ptr_array_add (arrays, array);
  }
  return TRUE;
}

/* A JSON object with tensors at the top level, or any safetensors file that is
 * not our own. */
static gboolean
sniff (const SeqFile *file)
{
  const char *key;
  json_t *value;

  json_object_foreach (file->json, key, value)
  {
    if (strstr (key, "weight_hh"))
      return TRUE;
  }
  return file->tensors
         && !g_hash_table_contains (file->tensors->metadata, SEQ_MODEL_KEY);
}

static SeqModel *
read_model (const SeqFile *file, GError **error)
{
  g_autoptr (GPtrArray) arrays = seq_arrays_new ();
  g_autoptr (SeqBuilder) builder = NULL;
  GHashTableIter iter;
  gpointer key, value;

  if (file->json ? add_lists (arrays, file->json, error)
                 : add_tensors (arrays, file->tensors, error))
    builder = seq_state_dict_build (arrays, file, error);
  if (!builder)
    return NULL;
  if (file->tensors) {
    g_hash_table_iter_init (&iter, file->tensors->metadata);
    while (g_hash_table_iter_next (&iter, &key, &value))
      if (!g_str_equal (key, "format"))
        seq_builder_set_metadata (builder, key, value);
  }
  return seq_reader_finish (builder, file, error);
}

const SeqFileFormat seq_format_statedict = {
  .name = "state_dict",
  .mark = "...weight_hh...",
  .hints = seq_state_dict_hints,
  .sniff = sniff,
  .read = read_model,
};

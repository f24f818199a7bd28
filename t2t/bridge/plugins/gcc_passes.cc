// GCC asks by t2t_bridge.h whether to run a pass: gcc -fplugin=gcc_passes.so. Whom it
// asks is -fplugin-arg-gcc_passes-bridge=ADDRESS, or $T2T_BRIDGE.
//
// Asked is about passes that GCC can do without, each time that one is about to run on
// a function: 1 runs it, which is GCC's own decision, 0 leaves it out. All work on
// GIMPLE in SSA form, and have a switch of their own. The vectoriser is not among them:
// if-conversion, before it, counts on it to clear up.

#include "t2t_bridge.h"

#include "gcc-plugin.h"
#include "plugin-version.h"

#include "tree.h"
#include "tree-pass.h"
#include "context.h"
#include "basic-block.h"
#include "function.h"
#include "gimple.h"
#include "gimple-iterator.h"
#include "cfgloop.h"
#include "predict.h"

int plugin_is_GPL_compatible; // which the Apache licence is with version 3

namespace {

const char *const asked_about[] = {
    "backprop", "bswap",        "ccp",        "cddce",    "ch",       "copyprop",
    "cselim",   "cunroll",      "cunrolli",   "dce",      "dom",      "dse",
    "esra",     "ethread",      "evrp",       "forwprop", "fre",      "ifcombine",
    "ivcanon",  "ivopts",       "ldist",      "lim",      "pcom",     "phiopt",
    "phiprop",  "pre",          "reassoc",    "sink",     "slp",      "slsr",
    "sra",      "store-merging", "strlen",    "tailc",    "tailr",    "thread",
    "threadfull", "unswitch",   "vrp",      "widening_mul",
};
const size_t passes = sizeof asked_about / sizeof *asked_about;

const t2t_spec features[] = {
    {"pass", T2T_INT64, 1, {1}},        // its place in the list above
    {"instance", T2T_INT64, 1, {1}},    // of the passes in GCC's order
    {"blocks", T2T_INT64, 1, {1}},      {"edges", T2T_INT64, 1, {1}},
    {"statements", T2T_INT64, 1, {1}},  {"calls", T2T_INT64, 1, {1}},
    {"assignments", T2T_INT64, 1, {1}}, {"conditions", T2T_INT64, 1, {1}},
    {"memory", T2T_INT64, 1, {1}},      {"phis", T2T_INT64, 1, {1}},
    {"loops", T2T_INT64, 1, {1}},       {"for_size", T2T_INT64, 1, {1}},
};
enum feature { PASS, INSTANCE, BLOCKS, EDGES, STATEMENTS, CALLS, ASSIGNMENTS,
               CONDITIONS, MEMORY, PHIS, LOOPS, FOR_SIZE, FEATURES };
const t2t_spec advice = {"run", T2T_INT64, 1, {1}};

t2t_bridge *bridge = nullptr;
tree asked_in = NULL_TREE; // the function of the last question

int64_t &at(feature which) {
  return *static_cast<int64_t *>(t2t_bridge_tensor(bridge, which));
}

size_t place_of(const opt_pass *pass) {
  size_t place = 0;
  while (place < passes && strcmp(asked_about[place], pass->name)) place++;
  return place;
}

void look_at(function *fun, const opt_pass *pass) {
  basic_block block;
  for (int which = 0; which < FEATURES; which++) at(feature(which)) = 0;
  at(PASS) = int64_t(place_of(pass));
  at(INSTANCE) = pass->static_pass_number;
  at(BLOCKS) = n_basic_blocks_for_fn(fun);
  at(EDGES) = n_edges_for_fn(fun);
  at(LOOPS) = loops_for_fn(fun) ? int64_t(number_of_loops(fun)) : 0;
  at(FOR_SIZE) = int(optimize_function_for_size_p(fun)) > 0;
  FOR_EACH_BB_FN(block, fun) {
    for (auto it = gsi_start_phis(block); !gsi_end_p(it); gsi_next(&it)) at(PHIS)++;
    for (auto it = gsi_start_bb(block); !gsi_end_p(it); gsi_next(&it)) {
      const gimple *statement = gsi_stmt(it);
      if (is_gimple_debug(statement)) continue;
      at(STATEMENTS)++;
      at(CALLS) += gimple_code(statement) == GIMPLE_CALL;
      at(ASSIGNMENTS) += gimple_code(statement) == GIMPLE_ASSIGN;
      at(CONDITIONS) += gimple_code(statement) == GIMPLE_COND;
      at(MEMORY) += gimple_vuse(statement) != NULL_TREE;
    }
  }
}

// GCC is about to run `current_pass`, or not, and lets plug-ins change that.
void gate(void *status, void *) {
  bool *runs = static_cast<bool *>(status);
  const opt_pass *pass = current_pass;
  if (!bridge || !*runs || !pass || pass->type != GIMPLE_PASS || !cfun || !cfun->cfg ||
      place_of(pass) == passes)
    return;
  if (current_function_decl != asked_in) {
    asked_in = current_function_decl;
    t2t_bridge_context(bridge, IDENTIFIER_POINTER(DECL_ASSEMBLER_NAME(asked_in)));
  }
  look_at(cfun, pass);
  int64_t answer = 1;
  t2t_bridge_ask(bridge, &answer);
  *runs = answer != 0;
}

void finish(void *, void *) {
  t2t_bridge_close(bridge);
  bridge = nullptr;
}

} // namespace

int plugin_init(plugin_name_args *plugin, plugin_gcc_version *version) {
  if (!plugin_default_version_check(version, &gcc_version)) {
    fprintf(stderr, "t2t bridge: this plug-in was built for GCC %s: build it anew\n",
            gcc_version.basever);
    return 1;
  }
  const char *address = nullptr;
  for (int n = 0; n < plugin->argc; n++)
    if (!strcmp(plugin->argv[n].key, "bridge")) address = plugin->argv[n].value;
  bridge = t2t_bridge_open(address, features, FEATURES, &advice);
  register_callback(plugin->base_name, PLUGIN_OVERRIDE_GATE, gate, nullptr);
  register_callback(plugin->base_name, PLUGIN_FINISH, finish, nullptr);
  return 0;
}

/* A generated policy.h as a runner: cc -shared -fPIC -include policy.h runner_header.c

The policy is in the library; FILE in runner:LIBRARY,FILE is only its name. Define
POLICY_MASK as the feature that says which places are allowed, where there is one. */

#include "t2t_bridge.h"

typedef struct {
  size_t places[sizeof policy_features / sizeof *policy_features];
  const t2t_spec *specs;
  void *const *tensors;
  t2t_type advice;
} policy_state;

static const size_t wanted = sizeof policy_features / sizeof *policy_features;

static void policy_close(void *state) { free(state); }

static void *policy_open(const char *file, const t2t_spec *features,
                         void *const *tensors, size_t count, const t2t_spec *advice,
                         char *why, size_t room) {
  policy_state *state = (policy_state *)calloc(1, sizeof *state);
  size_t at, other;
  (void)file;
  if (!state) return NULL;
  state->specs = features;
  state->tensors = tensors;
  state->advice = advice->type;
  for (at = 0; at < wanted; at++) {
    for (other = 0; other < count; other++)
      if (!strcmp(features[other].name, policy_features[at].name) &&
          !strcmp(t2t__type_name(features[other].type), policy_features[at].type) &&
          t2t__elements(&features[other]) == policy_features[at].elements)
        break;
    if (other == count) {
      snprintf(why, room, "no %s, %s of %lu", policy_features[at].name,
               policy_features[at].type, (unsigned long)policy_features[at].elements);
      policy_close(state);
      return NULL;
    }
    state->places[at] = other;
  }
  return state;
}

static int policy_ask(void *policy, void *answer) {
  policy_state *state = (policy_state *)policy;
  float inputs[POLICY_INPUTS], *into = inputs;
  size_t at;
#ifdef POLICY_MASK
  const float *mask = NULL;
#endif
  for (at = 0; at < wanted; at++) {
    size_t place = state->places[at];
#ifdef POLICY_MASK
    if (!strcmp(policy_features[at].name, POLICY_MASK)) mask = into;
#endif
    t2t__as_floats(&state->specs[place], state->tensors[place], into);
    into += policy_features[at].elements;
  }
#ifdef POLICY_VALUES
  policy_values(inputs, (float *)answer);
#else
#ifdef POLICY_MASK
  at = policy_choose(inputs, mask);
#else
  at = policy_choose(inputs);
#endif
  if (at == POLICY_OUTPUTS) return 0;
  t2t__put_index(state->advice, answer, at);
#endif
  return 1;
}

const t2t_runner *t2t_runner_of(void);

const t2t_runner *t2t_runner_of(void) {
  static const t2t_runner runner = {1, policy_open, policy_ask, policy_close};
  return &runner;
}

/* ONNX Runtime as a runner, by the library that its wheel brings: define LIBRARY as its
path. FILE in runner:LIBRARY,FILE is an .onnx file.

The wheel has no header, so the functions are called by their places in the table of
version 1 of its interface, which has 102 and never changes:
https://onnxruntime.ai/docs/api/c/struct_ort_api.html */

#define T2T_BRIDGE_RUNNERS
#include "t2t_bridge.h"

enum {
  ERROR_MESSAGE = 2, CREATE_ENV = 3, CREATE_SESSION = 7, RUN = 9, CREATE_OPTIONS = 10,
  INTRA_THREADS = 24, INTER_THREADS = 25, INPUT_COUNT = 30, INPUT_TYPE = 33,
  INPUT_NAME = 36, OUTPUT_NAME = 37, CREATE_TENSOR = 49, TENSOR_DATA = 51,
  TYPE_AS_TENSOR = 55, ELEMENT_TYPE = 60, AXES_COUNT = 61, AXES = 62,
  CPU_MEMORY = 69, ALLOCATOR = 78, RELEASE_ENV = 92, RELEASE_STATUS = 93,
  RELEASE_MEMORY = 94, RELEASE_SESSION = 95, RELEASE_VALUE = 96, RELEASE_TYPE = 98,
  RELEASE_OPTIONS = 100
};

typedef void (*function)(void);
typedef struct {
  const function *(*get)(uint32_t version);
  const char *(*version)(void);
} base;

/* Calls what stands at a place: its result is NULL, or says what went wrong. */
#define CALL(PLACE, TYPES, ...) ((void *(*)TYPES)api[PLACE])(__VA_ARGS__)
#define RELEASE(PLACE, WHAT) ((void (*)(void *))api[PLACE])(WHAT)

typedef struct {
  void *library, *env, *options, *session, *memory, **values;
  const function *api;
  size_t count;
  char **names, *output;
  t2t_spec advice;
} policy_state;

/* ONNX's numbers of element types, in the order of t2t_type. */
static const int element_types[] = {1, 11, 3, 2, 5, 4, 6, 12, 7, 13};

static int failed(const function *api, void *status, char *why, size_t room) {
  if (!status) return 0;
  snprintf(why, room, "%s", ((const char *(*)(const void *))api[ERROR_MESSAGE])(status));
  RELEASE(RELEASE_STATUS, status);
  return 1;
}

static void policy_close(void *policy) {
  policy_state *state = (policy_state *)policy;
  const function *api = state->api;
  size_t at;
  for (at = 0; state->values && at < state->count; at++)
    if (state->values[at]) RELEASE(RELEASE_VALUE, state->values[at]);
  if (state->memory) RELEASE(RELEASE_MEMORY, state->memory);
  if (state->session) RELEASE(RELEASE_SESSION, state->session);
  if (state->options) RELEASE(RELEASE_OPTIONS, state->options);
  if (state->env) RELEASE(RELEASE_ENV, state->env);
  free(state->values);
  free(state->names); /* the names themselves are the session's allocator's */
  /* The library stays: it does not like to go while the process lives. */
  free(state);
}

/* Whether an input has a feature's type and shape, after the axis of states. */
static int fits(policy_state *state, size_t input, const t2t_spec *spec) {
  const function *api = state->api;
  void *type = NULL;
  const void *tensor = NULL;
  int element = 0;
  size_t axes = 0, at;
  int64_t shape[T2T_MOST_AXES + 1];
  int good = !CALL(INPUT_TYPE, (void *, size_t, void **), state->session, input, &type) &&
             !CALL(TYPE_AS_TENSOR, (const void *, const void **), type, &tensor) &&
             tensor &&
             !CALL(ELEMENT_TYPE, (const void *, int *), tensor, &element) &&
             !CALL(AXES_COUNT, (const void *, size_t *), tensor, &axes) &&
             axes == spec->axes + 1 && element == element_types[spec->type] &&
             !CALL(AXES, (const void *, int64_t *, size_t), tensor, shape, axes);
  for (at = 0; good && at < spec->axes; at++) good = shape[at + 1] == spec->shape[at];
  if (type) RELEASE(RELEASE_TYPE, type);
  return good;
}

/* A value over the compiler's own memory for each input. */
static int match(policy_state *state, const t2t_spec *features, void *const *tensors,
                 size_t count, char *why, size_t room) {
  const function *api = state->api;
  void *allocator = NULL;
  size_t at, other, axis;
  if (failed(api, CALL(ALLOCATOR, (void **), &allocator), why, room)) return 0;
  if (failed(api, CALL(INPUT_COUNT, (void *, size_t *), state->session, &state->count),
             why, room))
    return 0;
  state->names = (char **)calloc(state->count, sizeof *state->names);
  state->values = (void **)calloc(state->count, sizeof *state->values);
  if (!state->names || !state->values) return 0;
  for (at = 0; at < state->count; at++) {
    const t2t_spec *spec = features;
    int64_t shape[T2T_MOST_AXES + 1] = {1};
    if (failed(api, CALL(INPUT_NAME, (void *, size_t, void *, char **), state->session,
                         at, allocator, &state->names[at]), why, room))
      return 0;
    for (other = 0; other < count; other++, spec++)
      if (!strcmp(spec->name, state->names[at])) break;
    if (other == count || !fits(state, at, spec)) {
      snprintf(why, room, "%s %s", other == count ? "no" : "another", state->names[at]);
      return 0;
    }
    for (axis = 0; axis < spec->axes; axis++) shape[axis + 1] = spec->shape[axis];
    if (failed(api, CALL(CREATE_TENSOR, (const void *, void *, size_t, const int64_t *,
                                         size_t, int, void **), state->memory,
                         tensors[other],
                         t2t__elements(spec) * t2t__width(spec->type), shape,
                         spec->axes + 1, element_types[spec->type],
                         &state->values[at]), why, room))
      return 0;
  }
  return !failed(api, CALL(OUTPUT_NAME, (void *, size_t, void *, char **),
                           state->session, (size_t)0, allocator, &state->output), why,
                 room);
}

static int start(policy_state *state, const char *file, char *why, size_t room) {
  const function *api = state->api;
  return !failed(api, CALL(CREATE_ENV, (int, const char *, void **), 3, "t2t",
                           &state->env), why, room) &&
         !failed(api, CALL(CREATE_OPTIONS, (void **), &state->options), why, room) &&
         !failed(api, CALL(INTRA_THREADS, (void *, int), state->options, 1), why, room) &&
         !failed(api, CALL(INTER_THREADS, (void *, int), state->options, 1), why, room) &&
         !failed(api, CALL(CREATE_SESSION, (void *, const char *, void *, void **),
                           state->env, file, state->options, &state->session), why,
                 room) &&
         !failed(api, CALL(CPU_MEMORY, (int, int, void **), 1, 0, &state->memory), why,
                 room);
}

static void *policy_open(const char *file, const t2t_spec *features,
                         void *const *tensors, size_t count, const t2t_spec *advice,
                         char *why, size_t room) {
  policy_state *state = (policy_state *)calloc(1, sizeof *state);
  union {
    void *symbol;
    const base *(*call)(void);
  } get;
  if (!state) return NULL;
  state->advice = *advice;
  state->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
  get.symbol = state->library ? dlsym(state->library, "OrtGetApiBase") : NULL;
  if (get.symbol) state->api = get.call()->get(1);
  if (!state->api) {
    snprintf(why, room, "no ONNX Runtime at %s", LIBRARY);
    free(state);
    return NULL;
  }
  if (advice->type == T2T_DOUBLE) {
    snprintf(why, room, "the advice is double: ONNX gives float");
  } else if (start(state, file, why, room) &&
             match(state, features, tensors, count, why, room)) {
    return state;
  }
  policy_close(state);
  return NULL;
}

static int policy_ask(void *policy, void *answer) {
  policy_state *state = (policy_state *)policy;
  const function *api = state->api;
  void *result = NULL, *data = NULL;
  char why[8];
  size_t elements = t2t__elements(&state->advice);
  if (failed(api, CALL(RUN, (void *, void *, const char *const *, void *const *, size_t,
                             const char *const *, size_t, void **), state->session,
                       NULL, (const char *const *)state->names, state->values,
                       state->count, (const char *const *)&state->output, (size_t)1,
                       &result), why, sizeof why))
    return 0;
  if (!failed(api, CALL(TENSOR_DATA, (void *, void **), result, &data), why, sizeof why)) {
    if (state->advice.type == T2T_FLOAT)
      memcpy(answer, data, elements * sizeof(float));
    else
      t2t__put_index(state->advice.type, answer, (size_t)*(const int64_t *)data);
  }
  RELEASE(RELEASE_VALUE, result);
  return data != NULL;
}

const t2t_runner *t2t_runner_of(void);

const t2t_runner *t2t_runner_of(void) {
  static const t2t_runner runner = {1, policy_open, policy_ask, policy_close};
  return &runner;
}

/* LiteRT as a runner, by the library that its wheel brings: define LIBRARY as its path.
FILE in runner:LIBRARY,FILE is a .tflite file with one signature.

The wheel has no header, and the interface has changed within version 2, so this is for
2.3 alone; `plugins.build_runner` refuses others. */

#define T2T_BRIDGE_RUNNERS
#include "t2t_bridge.h"

enum { CPU = 1, NO_MESSAGES = 4, ALIGNMENT = 64, MOST_AXES = 8 };
enum { OPTION_ACCELERATORS = 24, OPTION_SEVERITY = 25, ANY_INTEGER = 2 };

typedef struct {
  int tag;
  struct {
    int type;
    int64_t value;
  } any;
} env_option;

typedef struct {
  int element;
  struct {
    unsigned axes : 7, has_strides : 1;
    int32_t shape[MOST_AXES];
    uint32_t strides[MOST_AXES];
  } layout;
} tensor_type;

/* Every function gives a status, 0 when all is well, but those that destroy. */
#define FUNCTIONS(X)                                                               \
  X(CreateEnvironment, (int, const env_option *, void **))                         \
  X(CreateOptions, (void **))                                                      \
  X(SetOptionsHardwareAccelerators, (void *, int))                                 \
  X(CreateModelFromFile, (void *, const char *, void **))                          \
  X(CreateCompiledModel, (void *, void *, void *, void **))                        \
  X(GetModelSignature, (void *, size_t, void **))                                  \
  X(GetNumSignatureInputs, (void *, size_t *))                                     \
  X(GetSignatureInputName, (void *, size_t, const char **))                        \
  X(GetSignatureInputTensorByIndex, (void *, size_t, void **))                     \
  X(GetSignatureOutputTensorByIndex, (void *, size_t, void **))                    \
  X(GetRankedTensorType, (void *, tensor_type *))                                  \
  X(CompiledModelResizeInputTensor, (void *, size_t, size_t, const int *, size_t)) \
  X(CreateTensorBufferFromHostMemory,                                              \
    (const tensor_type *, void *, size_t, void (*)(void *), void **))              \
  X(RunCompiledModel, (void *, size_t, size_t, void **, size_t, void **))

#define DESTROYERS(X) \
  X(TensorBuffer)     \
  X(CompiledModel)    \
  X(Model)            \
  X(Options)          \
  X(Environment)

typedef struct {
#define DECLARE(NAME, TYPES) int(*NAME) TYPES;
  FUNCTIONS(DECLARE)
#undef DECLARE
#define DECLARE(NAME) void (*Destroy##NAME)(void *);
  DESTROYERS(DECLARE)
#undef DECLARE
} interface;

typedef struct {
  void *library, *env, *options, *model, *compiled, *output;
  interface api;
  size_t count;
  void **buffers, **aligned, *answer;
  void *const *tensors;
  size_t *places, *sizes;
  t2t_spec advice;
} policy_state;

static const int element_types[] = {1, 11, 9, 3, 7, 17, 2, 16, 4, 13};

static int load(void *library, interface *api) {
  union {
    void *symbol;
    void (*call)(void);
  } found;
#define LOAD(NAME)                                                   \
  found.symbol = dlsym(library, "LiteRt" #NAME);                     \
  if (!found.symbol) return 0;                                       \
  memcpy(&api->NAME, &found.symbol, sizeof found.symbol);
#define LOAD_ONE(NAME, TYPES) LOAD(NAME)
#define LOAD_DESTROYER(NAME) LOAD(Destroy##NAME)
  FUNCTIONS(LOAD_ONE)
  DESTROYERS(LOAD_DESTROYER)
  return 1;
}

static void policy_close(void *policy) {
  policy_state *state = (policy_state *)policy;
  size_t at;
  for (at = 0; at < state->count; at++) {
    if (state->buffers && state->buffers[at])
      state->api.DestroyTensorBuffer(state->buffers[at]);
    if (state->aligned) free(state->aligned[at]);
  }
  if (state->output) state->api.DestroyTensorBuffer(state->output);
  if (state->compiled) state->api.DestroyCompiledModel(state->compiled);
  if (state->model) state->api.DestroyModel(state->model);
  if (state->options) state->api.DestroyOptions(state->options);
  if (state->env) state->api.DestroyEnvironment(state->env);
  free(state->buffers);
  free(state->aligned);
  free(state->answer);
  free(state->places);
  free(state->sizes);
  /* The library stays: its threads may not have gone yet. */
  free(state);
}

static void *aligned_zeros(size_t size) {
  void *memory = NULL;
  size_t room = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  if (posix_memalign(&memory, ALIGNMENT, room)) return NULL;
  memset(memory, 0, room);
  return memory;
}

/* One input, over aligned memory of ours: a feature is copied there with each question. */
static int bind_input(policy_state *state, void *signature, size_t at,
                      const t2t_spec *features, size_t count, char *why, size_t room) {
  interface *api = &state->api;
  const char *name = "";
  const t2t_spec *spec = features;
  void *tensor = NULL;
  tensor_type type;
  int shape[MOST_AXES], good;
  size_t axis;
  if (api->GetSignatureInputName(signature, at, &name) ||
      api->GetSignatureInputTensorByIndex(signature, at, &tensor) ||
      api->GetRankedTensorType(tensor, &type))
    return 0;
  while (spec < features + count && strcmp(spec->name, name)) spec++;
  good = spec < features + count && type.layout.axes == spec->axes + 1 &&
         type.element == element_types[spec->type];
  for (axis = 0; good && axis < spec->axes; axis++)
    good = type.layout.shape[axis + 1] == spec->shape[axis];
  if (!good) {
    snprintf(why, room, "%s %s", spec == features + count ? "no" : "another", name);
    return 0;
  }
  type.layout.shape[0] = 1;
  for (axis = 0; axis < type.layout.axes; axis++) shape[axis] = type.layout.shape[axis];
  state->places[at] = (size_t)(spec - features);
  state->sizes[at] = t2t__elements(spec) * t2t__width(spec->type);
  state->aligned[at] = aligned_zeros(state->sizes[at]);
  return state->aligned[at] &&
         !api->CompiledModelResizeInputTensor(state->compiled, 0, at, shape,
                                              type.layout.axes) &&
         !api->CreateTensorBufferFromHostMemory(&type, state->aligned[at],
                                                state->sizes[at], NULL,
                                                &state->buffers[at]);
}

static int bind_all(policy_state *state, const t2t_spec *features, size_t count,
                    char *why, size_t room) {
  interface *api = &state->api;
  void *signature = NULL, *tensor = NULL;
  tensor_type type;
  size_t at, inputs = 0, size = 8;
  if (api->GetModelSignature(state->model, 0, &signature) ||
      api->GetNumSignatureInputs(signature, &inputs) || inputs > count)
    return 0;
  state->buffers = (void **)calloc(inputs, sizeof(void *));
  state->aligned = (void **)calloc(inputs, sizeof(void *));
  state->places = (size_t *)calloc(inputs, sizeof(size_t));
  state->sizes = (size_t *)calloc(inputs, sizeof(size_t));
  if (!state->buffers || !state->aligned || !state->places || !state->sizes) return 0;
  state->count = inputs;
  for (at = 0; at < inputs; at++)
    if (!bind_input(state, signature, at, features, count, why, room)) return 0;
  if (api->GetSignatureOutputTensorByIndex(signature, 0, &tensor) ||
      api->GetRankedTensorType(tensor, &type))
    return 0;
  type.layout.shape[0] = 1;
  if (state->advice.type == T2T_FLOAT) size = 4 * t2t__elements(&state->advice);
  state->answer = aligned_zeros(size);
  return state->answer && !api->CreateTensorBufferFromHostMemory(
                              &type, state->answer, size, NULL, &state->output);
}

static int start(policy_state *state, const char *file) {
  static const env_option quiet[] = {{OPTION_ACCELERATORS, {ANY_INTEGER, CPU}},
                                     {OPTION_SEVERITY, {ANY_INTEGER, NO_MESSAGES}}};
  interface *api = &state->api;
  return !api->CreateEnvironment(2, quiet, &state->env) &&
         !api->CreateOptions(&state->options) &&
         !api->SetOptionsHardwareAccelerators(state->options, CPU) &&
         !api->CreateModelFromFile(state->env, file, &state->model) &&
         !api->CreateCompiledModel(state->env, state->model, state->options,
                                   &state->compiled);
}

static void *policy_open(const char *file, const t2t_spec *features,
                         void *const *tensors, size_t count, const t2t_spec *advice,
                         char *why, size_t room) {
  policy_state *state = (policy_state *)calloc(1, sizeof *state);
  if (!state) return NULL;
  state->advice = *advice;
  state->tensors = tensors;
  state->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (!state->library || !load(state->library, &state->api)) {
    snprintf(why, room, "no LiteRT 2.3 at %s", LIBRARY);
    free(state);
    return NULL;
  }
  if (advice->type == T2T_DOUBLE)
    snprintf(why, room, "the advice is double: LiteRT gives float");
  else if (!start(state, file))
    snprintf(why, room, "LiteRT cannot load it");
  else if (bind_all(state, features, count, why, room))
    return state;
  policy_close(state);
  return NULL;
}

static int policy_ask(void *policy, void *answer) {
  policy_state *state = (policy_state *)policy;
  size_t at;
  for (at = 0; at < state->count; at++)
    memcpy(state->aligned[at], state->tensors[state->places[at]], state->sizes[at]);
  if (state->api.RunCompiledModel(state->compiled, 0, state->count, state->buffers, 1,
                                  &state->output))
    return 0;
  if (state->advice.type == T2T_FLOAT)
    memcpy(answer, state->answer, 4 * t2t__elements(&state->advice));
  else
    t2t__put_index(state->advice.type, answer, (size_t)*(int64_t *)state->answer);
  return 1;
}

const t2t_runner *t2t_runner_of(void);

const t2t_runner *t2t_runner_of(void) {
  static const t2t_runner runner = {1, policy_open, policy_ask, policy_close};
  return &runner;
}

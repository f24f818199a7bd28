/* t2t_bridge.h: a compiler asks for advice, wherever the policy is.

One file for C99 and C++11 on POSIX, with nothing to link. Include it first, or define
_POSIX_C_SOURCE as 200809L.

    static const t2t_spec features[] = {{"cost", T2T_INT64, 1, {1}}};
    static const t2t_spec advice = {"inline", T2T_INT64, 1, {1}};
    t2t_bridge *bridge = t2t_bridge_open(NULL, features, 1, &advice);
    ...
    *(int64_t *)t2t_bridge_tensor(bridge, 0) = cost;
    int64_t answer = what_i_would_do_myself;
    t2t_bridge_ask(bridge, &answer);
    ...
    t2t_bridge_close(bridge);

The address says who answers, and nothing is compiled anew for another one; without one
it is $T2T_BRIDGE, or `default`:

    fifo:BASE       a host, by the named pipes BASE.out and BASE.in
    fd:READ,WRITE   a host, by inherited descriptors
    unix:PATH       a host, by a socket
    shm:BASE        a host, by shared memory; ?spin=MICROSECONDS before it sleeps
    model:FILE      a policy in this process: flat weights (t2t/bridge/flat.py)
    runner:LIBRARY,FILE  a policy in this process, by somebody's runtime: a library of
                    the kind that t2t_runner describes; with T2T_BRIDGE_RUNNERS defined
    record:FILE     nobody, but all is written to a log as LLVM's training has it; %p in
                    FILE is the process's number, and the log is there when it is closed
    default         nobody

?timeout=SECONDS (10) is how long a host may take. When it takes longer, or is gone, or
a policy does not fit, that is said once on stderr, and the compiler's own decision
stands from then on: `ask` returns 0 and leaves the answer as it was. A bridge belongs
to one thread. Names of functions that begin with t2t__ are nobody else's. */

#ifndef T2T_BRIDGE_H
#define T2T_BRIDGE_H

#if !defined(_POSIX_C_SOURCE) && !defined(_GNU_SOURCE) && !defined(__APPLE__)
#define _POSIX_C_SOURCE 200809L
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#ifdef T2T_BRIDGE_RUNNERS
#include <dlfcn.h>
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "t2t_bridge.h is for little-endian machines"
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  T2T_FLOAT, T2T_DOUBLE, T2T_INT8, T2T_UINT8, T2T_INT16, T2T_UINT16, T2T_INT32,
  T2T_UINT32, T2T_INT64, T2T_UINT64, T2T_TYPES
} t2t_type;

enum { T2T_MOST_AXES = 4, T2T_MOST_TENSORS = 4096, T2T_MOST_BYTES = 1 << 26 };

/* A tensor: its name, element type and shape. */
typedef struct {
  const char *name;
  t2t_type type;
  size_t axes;
  int64_t shape[T2T_MOST_AXES];
} t2t_spec;

typedef struct t2t_bridge t2t_bridge;

/* A runtime for policies, which a library gives away as `t2t_runner_of`. */
typedef struct {
  uint32_t version; /* 1 */
  /* A policy for these features, whose tensors stay where they are; the last one is
  the default. NULL, and why, when there is none. */
  void *(*open)(const char *file, const t2t_spec *features, void *const *tensors,
                size_t count, const t2t_spec *advice, char *why, size_t room);
  int (*ask)(void *policy, void *answer); /* 1 when there is one */
  void (*close)(void *policy);
} t2t_runner;

typedef const t2t_runner *(*t2t_runner_of_type)(void);

/* Opens an address for questions of these features. NULL when out of memory, or for
tensors without a name, of equal names, or too large, which is said on stderr. */
static inline t2t_bridge *t2t_bridge_open(const char *uri, const t2t_spec *features,
                                          size_t count, const t2t_spec *advice);

/* Where to write a feature before `ask`; what is there stays for the next question. */
static inline void *t2t_bridge_tensor(t2t_bridge *bridge, size_t feature);

/* Asks. `answer` has the advice's type and shape, and holds the own decision before
the call; 1 when it holds the policy's afterwards, 0 when it is as it was. */
static inline int t2t_bridge_ask(t2t_bridge *bridge, void *answer);

/* Says what the next questions are about, such as a function's name. */
static inline void t2t_bridge_context(t2t_bridge *bridge, const char *name);

/* Says what came of the last question. */
static inline void t2t_bridge_reward(t2t_bridge *bridge, double reward);

/* Why nobody answers any more; NULL as long as somebody may. */
static inline const char *t2t_bridge_failed(const t2t_bridge *bridge);

/* Says that there are no more questions. What is not closed counts as failed. */
static inline void t2t_bridge_close(t2t_bridge *bridge);

/* -- inside ---------------------------------------------------------------------- */

enum { T2T__HEADER = 1, T2T__CONTEXT, T2T__QUESTION, T2T__REWARD, T2T__DONE };
enum { T2T__ADVICE = 16, T2T__REFUSAL = 17 };
enum { T2T__PREFIX = 8, T2T__MOST_NAME = 4096, T2T__MOST_WIDTH = 1 << 16, T2T__MOST_LAYERS = 1024 };
enum { T2T__STANDARDISE = 1, T2T__BUCKETISE, T2T__SQUARES, T2T__DENSE, T2T__RELU };
enum { T2T__VALUES = 0, T2T__ARGMAX = 1 };

typedef enum {
  T2T__DEFAULT, T2T__PIPES, T2T__SHARED, T2T__MODEL, T2T__RUNNER, T2T__RECORD
} t2t__kind;

/* One direction of t2t/bridge/ring.py. */
typedef struct {
  uint64_t *written, *read, capacity;
  uint32_t *reader_sleeps, *writer_sleeps;
  unsigned char *data;
} t2t__ring;

typedef struct {
  uint32_t op, in, out;
  float *numbers;
  uint32_t *counts; /* of edges, where they are bucketised */
} t2t__layer;

typedef struct {
  size_t features, *places; /* which of the compiler's features each is */
  size_t layers;
  t2t__layer *layer;
  uint32_t output;
  int32_t mask; /* a feature of the compiler's; -1 for none */
  float *values, *others;
} t2t__model;

struct t2t_bridge {
  t2t__kind kind;
  size_t count; /* features, the default that is sent as the last one included */
  t2t_spec *specs, advice;
  size_t *sizes, *places, advice_bytes, row_bytes;
  unsigned char *row;  /* prefix, then tensors at multiples of 8 bytes */
  unsigned char *wire; /* the same without gaps; `row` where there are none */
  int in, out;
  double timeout, spin; /* seconds */
  t2t__ring from, to;
  void *mapped;
  size_t mapped_bytes;
  t2t__model model;
  const t2t_runner *runner;
  void *policy, **tensors, *library;
  FILE *log;
  char *log_name, *log_temporary;
  long asked; /* questions in this context of the log */
  int scored;
  char failed[256];
};

static inline size_t t2t__width(t2t_type type) {
  static const size_t widths[] = {4, 8, 1, 1, 2, 2, 4, 4, 8, 8};
  return widths[type];
}

static inline const char *t2t__type_name(t2t_type type) {
  static const char *const names[] = {"float",    "double",  "int8_t",   "uint8_t",
                                      "int16_t",  "uint16_t", "int32_t", "uint32_t",
                                      "int64_t",  "uint64_t"};
  return names[type];
}

/* Elements of a tensor; 0 when they are too many, or fewer than one. */
static inline size_t t2t__elements(const t2t_spec *spec) {
  size_t found = 1, axis;
  if (spec->axes > T2T_MOST_AXES || (unsigned)spec->type >= T2T_TYPES) return 0;
  for (axis = 0; axis < spec->axes; axis++) {
    if (spec->shape[axis] < 1 || spec->shape[axis] > T2T_MOST_BYTES) return 0;
    found *= (size_t)spec->shape[axis];
    if (found > T2T_MOST_BYTES) return 0;
  }
  return found * t2t__width(spec->type) > T2T_MOST_BYTES ? 0 : found;
}

static inline int t2t__alike(const t2t_spec *one, const t2t_spec *other) {
  return one->type == other->type && one->axes == other->axes &&
         !memcmp(one->shape, other->shape, one->axes * sizeof one->shape[0]);
}

static inline void *t2t__zeros(size_t count, size_t size) {
  return calloc(count ? count : 1, size ? size : 1);
}

static inline double t2t__now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Lets go of whoever answered. */
static inline void t2t__release(t2t_bridge *bridge) {
  size_t at;
  if (bridge->in >= 0) close(bridge->in);
  if (bridge->out >= 0 && bridge->out != bridge->in) close(bridge->out);
  bridge->in = bridge->out = -1;
  if (bridge->mapped) munmap(bridge->mapped, bridge->mapped_bytes);
  bridge->mapped = NULL;
  for (at = 0; at < bridge->model.layers; at++) {
    free(bridge->model.layer[at].numbers);
    free(bridge->model.layer[at].counts);
  }
  free(bridge->model.layer);
  free(bridge->model.places);
  free(bridge->model.values);
  free(bridge->model.others);
  memset(&bridge->model, 0, sizeof bridge->model);
  if (bridge->policy) bridge->runner->close(bridge->policy);
  bridge->policy = NULL;
  free(bridge->tensors);
  bridge->tensors = NULL;
#ifdef T2T_BRIDGE_RUNNERS
  if (bridge->library) dlclose(bridge->library);
#endif
  bridge->library = NULL;
  if (bridge->log) fclose(bridge->log);
  bridge->log = NULL;
  if (bridge->log_temporary) remove(bridge->log_temporary);
  free(bridge->log_temporary);
  bridge->log_temporary = NULL;
  bridge->kind = T2T__DEFAULT;
}

/* From now on the compiler's own decision: a late answer must never be taken for the
one to the next question. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static inline int t2t__give_up(t2t_bridge *bridge, const char *format, ...) {
  va_list values;
  va_start(values, format);
  vsnprintf(bridge->failed, sizeof bridge->failed, format, values);
  va_end(values);
  fprintf(stderr, "t2t bridge: %s: the default from now on\n", bridge->failed);
  t2t__release(bridge);
  return 0;
}

/* -- a host ---------------------------------------------------------------------- */

/* Waits for a descriptor; 0 when it took too long. */
static inline int t2t__wait(int descriptor, short events, double until) {
  struct pollfd one;
  one.fd = descriptor;
  one.events = events;
  for (;;) {
    double left = until - t2t__now();
    int found = poll(&one, 1, left > 0 ? (int)(left * 1e3) + 1 : 0);
    if (found > 0) return 1;
    if (found == 0 && left <= 0) return 0;
    if (found < 0 && errno != EINTR) return 1; /* the read or write will tell */
  }
}

/* write(2) that never ends the process, though nobody reads. */
static inline ssize_t t2t__write(int descriptor, const void *data, size_t size) {
  sigset_t pipe, old, waiting;
  ssize_t sent;
  int error, before;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  sigpending(&waiting);
  before = sigismember(&waiting, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, &old);
  sent = write(descriptor, data, size);
  error = errno;
  if (sent < 0 && error == EPIPE && !before) {
    int number;
    sigpending(&waiting);
    if (sigismember(&waiting, SIGPIPE)) sigwait(&pipe, &number);
  }
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  errno = error;
  return sent;
}

static inline int t2t__pipe_send(t2t_bridge *bridge, const unsigned char *data,
                                 size_t size) {
  double until = t2t__now() + bridge->timeout;
  while (size) {
    ssize_t sent = t2t__write(bridge->out, data, size);
    if (sent >= 0) {
      data += sent;
      size -= (size_t)sent;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (!t2t__wait(bridge->out, POLLOUT, until))
        return t2t__give_up(bridge, "the host reads nothing");
    } else if (errno != EINTR) {
      return t2t__give_up(bridge, "the host is gone");
    }
  }
  return 1;
}

/* Sleeps until the host rings. */
static inline int t2t__sleep(t2t_bridge *bridge, double until) {
  char bells[64];
  ssize_t got;
  if (!t2t__wait(bridge->in, POLLIN, until))
    return t2t__give_up(bridge, "no answer in %g s", bridge->timeout);
  got = read(bridge->in, bells, sizeof bells);
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
    return t2t__give_up(bridge, "the host is gone");
  return 1;
}

static inline void t2t__ring_bell(t2t_bridge *bridge) {
  t2t__write(bridge->out, "!", 1); /* a full pipe has rung enough */
}

static inline void t2t__copy_in(t2t__ring *ring, uint64_t at, const unsigned char *data,
                                size_t size) {
  size_t place = (size_t)(at % ring->capacity);
  size_t first = size < ring->capacity - place ? size : (size_t)ring->capacity - place;
  memcpy(ring->data + place, data, first);
  memcpy(ring->data, data + first, size - first);
}

static inline void t2t__copy_out(t2t__ring *ring, uint64_t at, unsigned char *data,
                                 size_t size) {
  size_t place = (size_t)(at % ring->capacity);
  size_t first = size < ring->capacity - place ? size : (size_t)ring->capacity - place;
  memcpy(data, ring->data + place, first);
  memcpy(data + first, ring->data, size - first);
}

static inline int t2t__shared_send(t2t_bridge *bridge, const unsigned char *data,
                                   size_t size) {
  t2t__ring *ring = &bridge->to;
  double until = t2t__now() + bridge->timeout;
  for (;;) {
    uint64_t head = __atomic_load_n(ring->written, __ATOMIC_RELAXED);
    uint64_t room =
        ring->capacity - (head - __atomic_load_n(ring->read, __ATOMIC_ACQUIRE));
    size_t now = size < room ? size : (size_t)room;
    if (room > ring->capacity) return t2t__give_up(bridge, "the rings make no sense");
    if (now) {
      t2t__copy_in(ring, head, data, now);
      __atomic_store_n(ring->written, head + now, __ATOMIC_RELEASE);
      __atomic_thread_fence(__ATOMIC_SEQ_CST);
      if (__atomic_load_n(ring->reader_sleeps, __ATOMIC_RELAXED)) t2t__ring_bell(bridge);
      data += now;
      size -= now;
    }
    if (!size) return 1;
    __atomic_store_n(ring->writer_sleeps, 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (head + now - __atomic_load_n(ring->read, __ATOMIC_ACQUIRE) == ring->capacity &&
        !t2t__sleep(bridge, until))
      return 0;
    __atomic_store_n(ring->writer_sleeps, 0, __ATOMIC_RELAXED);
  }
}

static inline uint64_t t2t__there(t2t__ring *ring) {
  return __atomic_load_n(ring->written, __ATOMIC_ACQUIRE) -
         __atomic_load_n(ring->read, __ATOMIC_RELAXED);
}

/* Looks for a while without the system's help. */
static inline void t2t__spin(t2t_bridge *bridge) {
  double until;
  int turn;
  if (bridge->spin <= 0) return;
  until = t2t__now() + bridge->spin;
  do {
    for (turn = 0; turn < 64; turn++) {
      if (t2t__there(&bridge->from)) return;
#if defined(__x86_64__) || defined(__i386__)
      __builtin_ia32_pause();
#endif
    }
  } while (t2t__now() < until);
}

static inline int t2t__shared_receive(t2t_bridge *bridge, unsigned char *data,
                                      size_t size) {
  t2t__ring *ring = &bridge->from;
  double until;
  t2t__spin(bridge);
  until = t2t__now() + bridge->timeout;
  while (size) {
    uint64_t there = t2t__there(ring), tail;
    size_t now;
    if (!there) {
      __atomic_store_n(ring->reader_sleeps, 1, __ATOMIC_RELAXED);
      __atomic_thread_fence(__ATOMIC_SEQ_CST);
      if (!t2t__there(ring) && !t2t__sleep(bridge, until)) return 0;
      __atomic_store_n(ring->reader_sleeps, 0, __ATOMIC_RELAXED);
      continue;
    }
    if (there > ring->capacity) return t2t__give_up(bridge, "the rings make no sense");
    now = size < there ? size : (size_t)there;
    tail = __atomic_load_n(ring->read, __ATOMIC_RELAXED);
    t2t__copy_out(ring, tail, data, now);
    __atomic_store_n(ring->read, tail + now, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(ring->writer_sleeps, __ATOMIC_RELAXED)) t2t__ring_bell(bridge);
    data += now;
    size -= now;
  }
  return 1;
}

static inline int t2t__pipe_receive(t2t_bridge *bridge, unsigned char *data,
                                    size_t size) {
  double until = t2t__now() + bridge->timeout;
  while (size) {
    ssize_t got;
    if (!t2t__wait(bridge->in, POLLIN, until))
      return t2t__give_up(bridge, "no answer in %g s", bridge->timeout);
    got = read(bridge->in, data, size);
    if (got > 0) {
      data += got;
      size -= (size_t)got;
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
      return t2t__give_up(bridge, "the host is gone");
    }
  }
  return 1;
}

static inline int t2t__send(t2t_bridge *bridge, const unsigned char *data, size_t size) {
  return bridge->kind == T2T__SHARED ? t2t__shared_send(bridge, data, size)
                                     : t2t__pipe_send(bridge, data, size);
}

static inline int t2t__receive(t2t_bridge *bridge, unsigned char *data, size_t size) {
  return bridge->kind == T2T__SHARED ? t2t__shared_receive(bridge, data, size)
                                     : t2t__pipe_receive(bridge, data, size);
}

static inline void t2t__prefix(unsigned char *into, size_t size, int kind) {
  uint32_t length = (uint32_t)size;
  memset(into, 0, T2T__PREFIX);
  memcpy(into, &length, sizeof length);
  into[4] = (unsigned char)kind;
}

static inline int t2t__say(t2t_bridge *bridge, int kind, const void *data, size_t size) {
  unsigned char prefix[T2T__PREFIX];
  t2t__prefix(prefix, size, kind);
  return t2t__send(bridge, prefix, sizeof prefix) &&
         (!size || t2t__send(bridge, (const unsigned char *)data, size));
}

static inline int t2t__ask_host(t2t_bridge *bridge, void *answer) {
  unsigned char prefix[T2T__PREFIX];
  uint32_t length;
  t2t__prefix(bridge->wire, bridge->row_bytes, T2T__QUESTION);
  if (!t2t__send(bridge, bridge->wire, T2T__PREFIX + bridge->row_bytes)) return 0;
  if (!t2t__receive(bridge, prefix, sizeof prefix)) return 0;
  memcpy(&length, prefix, sizeof length);
  if (prefix[4] == T2T__ADVICE && length == bridge->advice_bytes) {
    /* Into the row first: what is half read must leave the answer as it was. */
    unsigned char *place = bridge->row + bridge->places[bridge->count - 1];
    if (!t2t__receive(bridge, place, length)) return 0;
    memcpy(answer, place, length);
    return 1;
  }
  if (prefix[4] == T2T__REFUSAL) {
    char reason[200];
    size_t kept = length < sizeof reason ? length : sizeof reason - 1;
    if (!t2t__receive(bridge, (unsigned char *)reason, kept)) return 0;
    reason[kept] = 0;
    return t2t__give_up(bridge, "%s", reason);
  }
  return t2t__give_up(bridge, "the host does not speak this protocol");
}

static inline int t2t__nonblocking(int descriptor) {
  int flags = fcntl(descriptor, F_GETFL);
  return flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) < 0 ? -1
                                                                         : descriptor;
}

static inline int t2t__open_end(const char *base, const char *end, int flags) {
  char name[T2T__MOST_NAME];
  int size = snprintf(name, sizeof name, "%s%s", base, end);
  if (size < 0 || (size_t)size >= sizeof name) return -1;
  return open(name, flags | O_NONBLOCK | O_CLOEXEC);
}

static inline int t2t__open_fifos(t2t_bridge *bridge, const char *base) {
  bridge->in = t2t__open_end(base, ".in", O_RDONLY);
  bridge->out = t2t__open_end(base, ".out", O_WRONLY); /* fails when nobody reads */
  return bridge->in >= 0 && bridge->out >= 0;
}

static inline int t2t__open_socket(t2t_bridge *bridge, const char *path) {
  struct sockaddr_un address;
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  if (strlen(path) >= sizeof address.sun_path) return 0;
  memcpy(address.sun_path, path, strlen(path));
  bridge->in = bridge->out = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bridge->in < 0) return 0;
  fcntl(bridge->in, F_SETFD, FD_CLOEXEC);
  return !connect(bridge->in, (struct sockaddr *)&address, sizeof address) &&
         t2t__nonblocking(bridge->in) >= 0;
}

static inline t2t__ring t2t__ring_at(unsigned char *start, uint64_t capacity) {
  t2t__ring ring;
  ring.written = (uint64_t *)(void *)start;
  ring.read = (uint64_t *)(void *)(start + 64);
  ring.reader_sleeps = (uint32_t *)(void *)(start + 128);
  ring.writer_sleeps = (uint32_t *)(void *)(start + 192);
  ring.data = start + 256;
  ring.capacity = capacity;
  return ring;
}

static inline int t2t__open_shared(t2t_bridge *bridge, const char *base) {
  struct stat status;
  uint64_t capacity;
  unsigned char *start;
  int file = t2t__open_end(base, ".ring", O_RDWR);
  if (file < 0) return 0;
  if (fstat(file, &status) || status.st_size < 64) {
    close(file);
    return 0;
  }
  bridge->mapped_bytes = (size_t)status.st_size;
  bridge->mapped = mmap(NULL, bridge->mapped_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                        file, 0);
  close(file);
  if (bridge->mapped == MAP_FAILED) bridge->mapped = NULL;
  if (!bridge->mapped) return 0;
  start = (unsigned char *)bridge->mapped;
  memcpy(&capacity, start + 8, sizeof capacity);
  if (memcmp(start, "t2tring1", 8) || capacity < 64 || capacity > (1u << 30) ||
      capacity % 64 || bridge->mapped_bytes != 64 + 2 * (256 + capacity))
    return 0;
  bridge->to = t2t__ring_at(start + 64, capacity);
  bridge->from = t2t__ring_at(start + 64 + 256 + capacity, capacity);
  return t2t__open_fifos(bridge, base);
}

/* -- text ------------------------------------------------------------------------ */

typedef struct {
  char *text;
  size_t size, room;
} t2t__text;

static inline void t2t__append(t2t__text *text, const char *more, size_t size) {
  if (text->size + size > text->room) {
    size_t room = 2 * (text->size + size) + 256;
    char *larger = (char *)realloc(text->text, room);
    if (!larger) return;
    text->text = larger;
    text->room = room;
  }
  memcpy(text->text + text->size, more, size);
  text->size += size;
}

static inline void t2t__append_string(t2t__text *text, const char *string) {
  char escaped[8];
  t2t__append(text, "\"", 1);
  for (; *string; string++) {
    unsigned char c = (unsigned char)*string;
    if (c < 32) {
      snprintf(escaped, sizeof escaped, "\\u%04x", c);
      t2t__append(text, escaped, 6);
    } else {
      if (c == '"' || c == '\\') t2t__append(text, "\\", 1);
      t2t__append(text, string, 1);
    }
  }
  t2t__append(text, "\"", 1);
}

static inline void t2t__append_spec(t2t__text *text, const t2t_spec *spec) {
  char part[64];
  size_t axis;
  t2t__append(text, "{\"name\":", 8);
  t2t__append_string(text, spec->name);
  t2t__append(text, part, (size_t)snprintf(part, sizeof part,
                                           ",\"type\":\"%s\",\"port\":0,\"shape\":[",
                                           t2t__type_name(spec->type)));
  for (axis = 0; axis < spec->axes; axis++)
    t2t__append(text, part, (size_t)snprintf(part, sizeof part, "%s%lld",
                                             axis ? "," : "",
                                             (long long)spec->shape[axis]));
  t2t__append(text, "]}", 2);
}

/* The header as JSON; a log has the advice among its features, and a score. */
static inline t2t__text t2t__header(const t2t_bridge *bridge, int log) {
  static const t2t_spec score = {"reward", T2T_FLOAT, 1, {1, 0, 0, 0}};
  t2t__text text = {NULL, 0, 0};
  size_t at;
  t2t__append(&text, "{\"features\":[", 13);
  for (at = 0; at < bridge->count; at++) {
    if (at) t2t__append(&text, ",", 1);
    t2t__append_spec(&text, &bridge->specs[at]);
  }
  if (log) {
    t2t__append(&text, ",", 1);
    t2t__append_spec(&text, &bridge->advice);
  }
  t2t__append(&text, log ? "],\"score\":" : "],\"advice\":", log ? 10 : 11);
  t2t__append_spec(&text, log ? &score : &bridge->advice);
  t2t__append(&text, "}", 1);
  return text;
}

/* -- a log ----------------------------------------------------------------------- */

static inline int t2t__open_log(t2t_bridge *bridge, const char *name) {
  char text[T2T__MOST_NAME], number[24];
  const char *at = strstr(name, "%p");
  int size;
  t2t__text header;
  snprintf(number, sizeof number, "%ld", (long)getpid());
  size = at ? snprintf(text, sizeof text, "%.*s%s%s", (int)(at - name), name, number,
                       at + 2)
            : snprintf(text, sizeof text, "%s", name);
  if (size < 0 || (size_t)size + 32 > sizeof text) return 0;
  bridge->log_name = (char *)t2t__zeros(1, sizeof text);
  bridge->log_temporary = (char *)t2t__zeros(1, sizeof text);
  if (!bridge->log_name || !bridge->log_temporary) return 0;
  memcpy(bridge->log_name, text, (size_t)size);
  memcpy(bridge->log_temporary, text, (size_t)size);
  snprintf(bridge->log_temporary + size, 32, ".%s.tmp", number);
  bridge->log = fopen(bridge->log_temporary, "wb");
  if (!bridge->log) return 0;
  header = t2t__header(bridge, 1);
  fwrite(header.text, 1, header.size, bridge->log);
  fwrite("\n{\"context\":\"\"}\n", 1, 16, bridge->log);
  free(header.text);
  return 1;
}

static inline void t2t__score(t2t_bridge *bridge, float reward) {
  fprintf(bridge->log, "{\"outcome\":%ld}\n", bridge->asked - 1);
  fwrite(&reward, sizeof reward, 1, bridge->log);
  fputc('\n', bridge->log);
  bridge->scored = 1;
}

static inline void t2t__record(t2t_bridge *bridge, const void *answer) {
  if (!bridge->scored) t2t__score(bridge, 0);
  fprintf(bridge->log, "{\"observation\":%ld}\n", bridge->asked++);
  fwrite(bridge->wire + T2T__PREFIX, 1, bridge->row_bytes, bridge->log);
  fwrite(answer, 1, bridge->advice_bytes, bridge->log);
  fputc('\n', bridge->log);
  bridge->scored = 0;
}

/* -- flat weights ---------------------------------------------------------------- */

typedef struct {
  const unsigned char *data;
  size_t left;
  int bad;
} t2t__file;

static inline void t2t__take(t2t__file *file, void *into, size_t size) {
  if (file->bad || size > file->left) {
    file->bad = 1;
    memset(into, 0, size);
    return;
  }
  memcpy(into, file->data, size);
  file->data += size;
  file->left -= size;
}

static inline uint32_t t2t__take_u32(t2t__file *file) {
  uint32_t value;
  t2t__take(file, &value, sizeof value);
  return value;
}

/* `count` numbers of 4 bytes; NULL when the file does not have as many. */
static inline void *t2t__take_numbers(t2t__file *file, size_t count) {
  void *numbers = NULL;
  if (!file->bad && count <= file->left / 4) numbers = t2t__zeros(count, 4);
  if (numbers)
    t2t__take(file, numbers, 4 * count);
  else
    file->bad = 1;
  return numbers;
}

static inline t2t_spec t2t__take_spec(t2t__file *file, char *name, size_t room) {
  t2t_spec spec = {NULL, T2T_FLOAT, 0, {0, 0, 0, 0}};
  uint32_t length = t2t__take_u32(file), type, axes;
  if (length >= room) file->bad = 1;
  if (!file->bad) t2t__take(file, name, length);
  name[file->bad ? 0 : length] = 0;
  type = t2t__take_u32(file);
  axes = t2t__take_u32(file);
  if (type >= T2T_TYPES || axes > T2T_MOST_AXES) file->bad = 1;
  if (file->bad) return spec;
  spec.name = name;
  spec.type = (t2t_type)type;
  spec.axes = axes;
  t2t__take(file, spec.shape, axes * sizeof spec.shape[0]);
  return spec;
}

/* Which feature of the compiler's a policy means; says on `wrong` why it is none. */
static inline size_t t2t__match(const t2t_bridge *bridge, const t2t_spec *wanted,
                                t2t__text *wrong) {
  char part[64];
  size_t at;
  for (at = 0; at < bridge->count; at++)
    if (!strcmp(bridge->specs[at].name, wanted->name)) break;
  if (at < bridge->count && t2t__alike(&bridge->specs[at], wanted)) return at;
  if (wrong->size) t2t__append(wrong, ", ", 2);
  if (at == bridge->count) t2t__append(wrong, "no ", 3);
  t2t__append(wrong, wanted->name, strlen(wanted->name));
  if (at < bridge->count)
    t2t__append(wrong, part, (size_t)snprintf(part, sizeof part, " is %s of %lu",
                                              t2t__type_name(bridge->specs[at].type),
                                              (unsigned long)t2t__elements(
                                                  &bridge->specs[at])));
  return at;
}

static inline int t2t__layer_of(t2t__file *file, t2t__layer *layer, size_t width) {
  size_t numbers = 0, at;
  layer->op = t2t__take_u32(file);
  layer->in = t2t__take_u32(file);
  layer->out = t2t__take_u32(file);
  if (file->bad || layer->in != width || !layer->out || layer->out > T2T__MOST_WIDTH)
    return 0;
  switch (layer->op) {
    case T2T__STANDARDISE: numbers = 2 * width; break;
    case T2T__BUCKETISE:
      layer->counts = (uint32_t *)t2t__take_numbers(file, width);
      if (!layer->counts) return 0;
      for (at = 0; at < width; at++) {
        if (layer->counts[at] > file->left / 4) return 0;
        numbers += layer->counts[at];
      }
      break;
    case T2T__SQUARES: return layer->out == 2 * width;
    case T2T__RELU: return layer->out == width;
    case T2T__DENSE:
      if (layer->out > file->left / 4 / (width + 1)) return 0;
      numbers = (width + 1) * layer->out;
      break;
    default: return 0;
  }
  layer->numbers = (float *)t2t__take_numbers(file, numbers);
  return layer->numbers && (layer->op == T2T__DENSE || layer->out == width);
}

/* The policy in a file's bytes; the difference when it is of other features. */
static inline int t2t__parse(t2t_bridge *bridge, t2t__file *file, t2t__text *wrong) {
  t2t__model *model = &bridge->model;
  char name[T2T__MOST_NAME], magic[8];
  t2t_spec spec;
  size_t at, width = 0, widest, layers;
  t2t__take(file, magic, sizeof magic);
  if (memcmp(magic, "t2tflat1", sizeof magic)) return 0;
  model->features = t2t__take_u32(file);
  if (file->bad || !model->features || model->features > T2T_MOST_TENSORS) return 0;
  model->places = (size_t *)t2t__zeros(model->features, sizeof *model->places);
  if (!model->places) return 0;
  for (at = 0; at < model->features; at++) {
    spec = t2t__take_spec(file, name, sizeof name);
    if (file->bad || !t2t__elements(&spec)) return 0;
    width += t2t__elements(&spec);
    model->places[at] = t2t__match(bridge, &spec, wrong);
  }
  spec = t2t__take_spec(file, name, sizeof name);
  if (file->bad) return 0;
  if (!t2t__alike(&spec, &bridge->advice) || strcmp(name, bridge->advice.name)) {
    t2t__append(wrong, wrong->size ? ", for " : "for ", wrong->size ? 6 : 4);
    t2t__append(wrong, name, strlen(name));
  }
  model->output = t2t__take_u32(file);
  model->mask = (int32_t)t2t__take_u32(file);
  layers = t2t__take_u32(file);
  if (wrong->size || file->bad || width > T2T__MOST_WIDTH || layers > T2T__MOST_LAYERS ||
      model->output > T2T__ARGMAX || model->mask >= (int32_t)model->features)
    return 0;
  widest = width;
  model->layer = (t2t__layer *)t2t__zeros(layers, sizeof *model->layer);
  if (!model->layer) return 0;
  model->layers = layers;
  for (at = 0; at < layers; at++) {
    if (!t2t__layer_of(file, &model->layer[at], width)) return 0;
    width = model->layer[at].out;
    if (width > widest) widest = width;
  }
  model->values = (float *)t2t__zeros(widest, sizeof(float));
  model->others = (float *)t2t__zeros(widest, sizeof(float));
  if (!model->values || !model->others || file->bad || file->left) return 0;
  if (model->mask >= 0) {
    model->mask = (int32_t)model->places[model->mask];
    if (t2t__elements(&bridge->specs[model->mask]) != width) return 0;
  }
  if (model->output == T2T__ARGMAX) return t2t__elements(&bridge->advice) == 1;
  return bridge->advice.type <= T2T_DOUBLE && t2t__elements(&bridge->advice) == width;
}

static inline int t2t__open_model(t2t_bridge *bridge, const char *name) {
  t2t__text content = {NULL, 0, 0}, wrong = {NULL, 0, 0};
  t2t__file file = {NULL, 0, 0};
  char part[16384];
  size_t got;
  int good;
  FILE *from = fopen(name, "rb");
  if (!from) return 0;
  while ((got = fread(part, 1, sizeof part, from)) > 0) t2t__append(&content, part, got);
  fclose(from);
  file.data = (const unsigned char *)content.text;
  file.left = content.size;
  good = t2t__parse(bridge, &file, &wrong);
  free(content.text);
  if (wrong.size) {
    t2t__give_up(bridge, "the policy of %.80s is of other features (%.*s)", name,
                 (int)(wrong.size < 120 ? wrong.size : 120), wrong.text);
  } else if (!good) {
    t2t__give_up(bridge, "%.180s holds no flat weights", name);
  }
  free(wrong.text);
  return good || bridge->failed[0];
}

static inline void t2t__as_floats(const t2t_spec *spec, const void *tensor, float *into) {
  size_t count = t2t__elements(spec), at;
#define T2T__CASE(NAME, TYPE)                                                  \
  case NAME:                                                                   \
    for (at = 0; at < count; at++) into[at] = (float)((const TYPE *)tensor)[at]; \
    break;
  switch (spec->type) {
    T2T__CASE(T2T_FLOAT, float)
    T2T__CASE(T2T_DOUBLE, double)
    T2T__CASE(T2T_INT8, int8_t)
    T2T__CASE(T2T_UINT8, uint8_t)
    T2T__CASE(T2T_INT16, int16_t)
    T2T__CASE(T2T_UINT16, uint16_t)
    T2T__CASE(T2T_INT32, int32_t)
    T2T__CASE(T2T_UINT32, uint32_t)
    T2T__CASE(T2T_INT64, int64_t)
    T2T__CASE(T2T_UINT64, uint64_t)
    default: break;
  }
#undef T2T__CASE
}

static inline void t2t__put_index(t2t_type type, void *answer, size_t index) {
#define T2T__CASE(NAME, TYPE) \
  case NAME: *(TYPE *)answer = (TYPE)index; break;
  switch (type) {
    T2T__CASE(T2T_FLOAT, float)
    T2T__CASE(T2T_DOUBLE, double)
    T2T__CASE(T2T_INT8, int8_t)
    T2T__CASE(T2T_UINT8, uint8_t)
    T2T__CASE(T2T_INT16, int16_t)
    T2T__CASE(T2T_UINT16, uint16_t)
    T2T__CASE(T2T_INT32, int32_t)
    T2T__CASE(T2T_UINT32, uint32_t)
    T2T__CASE(T2T_INT64, int64_t)
    T2T__CASE(T2T_UINT64, uint64_t)
    default: break;
  }
#undef T2T__CASE
}

static inline float t2t__rank(const float *edges, uint32_t count, float value) {
  uint32_t low = 0, high = count;
  while (low < high) {
    uint32_t middle = (low + high) / 2;
    if (edges[middle] <= value)
      low = middle + 1;
    else
      high = middle;
  }
  return count ? (float)low / (float)count : 0;
}

/* One layer, from [in] to [out]; dense ones have kernel [in, out], then bias [out]. */
static inline void t2t__apply(const t2t__layer *layer, const float *x, float *y) {
  const float *numbers = layer->numbers;
  uint32_t in = layer->in, out = layer->out, i, j;
  switch (layer->op) {
    case T2T__STANDARDISE:
      for (i = 0; i < in; i++) y[i] = (x[i] - numbers[i]) * numbers[in + i];
      break;
    case T2T__BUCKETISE:
      for (i = 0; i < in; numbers += layer->counts[i], i++)
        y[i] = t2t__rank(numbers, layer->counts[i], x[i]);
      break;
    case T2T__SQUARES:
      for (i = 0; i < in; i++) {
        y[i] = x[i];
        y[in + i] = x[i] * x[i];
      }
      break;
    case T2T__RELU:
      for (i = 0; i < in; i++) y[i] = x[i] > 0 ? x[i] : 0;
      break;
    default:
      memcpy(y, numbers + (size_t)in * out, out * sizeof *y);
      for (i = 0; i < in; i++, numbers += out)
        for (j = 0; j < out; j++) y[j] += x[i] * numbers[j];
  }
}

/* The place of the largest of the allowed values; `count` where none is. */
static inline size_t t2t__argmax(const float *values, size_t count, const float *mask) {
  size_t best = count, at;
  for (at = 0; at < count; at++)
    if ((!mask || mask[at] != 0) && (best == count || values[at] > values[best]))
      best = at;
  return best;
}

static inline int t2t__ask_model(t2t_bridge *bridge, void *answer) {
  t2t__model *model = &bridge->model;
  float *x = model->values, *y = model->others, *swap, *into = x;
  size_t at, width = 0;
  for (at = 0; at < model->features; at++) {
    const t2t_spec *spec = &bridge->specs[model->places[at]];
    t2t__as_floats(spec, bridge->row + bridge->places[model->places[at]], into);
    into += t2t__elements(spec);
  }
  width = (size_t)(into - x);
  for (at = 0; at < model->layers; at++) {
    t2t__apply(&model->layer[at], x, y);
    width = model->layer[at].out;
    swap = x;
    x = y;
    y = swap;
  }
  if (model->output == T2T__ARGMAX) {
    size_t best;
    if (model->mask >= 0)
      t2t__as_floats(&bridge->specs[model->mask],
                     bridge->row + bridge->places[model->mask], y);
    best = t2t__argmax(x, width, model->mask >= 0 ? y : NULL);
    if (best == width) return 0;
    t2t__put_index(bridge->advice.type, answer, best);
    return 1;
  }
  if (bridge->advice.type == T2T_FLOAT) memcpy(answer, x, width * sizeof *x);
  for (at = 0; bridge->advice.type == T2T_DOUBLE && at < width; at++)
    ((double *)answer)[at] = (double)x[at];
  return 1;
}

/* -- somebody's runtime ---------------------------------------------------------- */

static inline int t2t__open_runner(t2t_bridge *bridge, char *place) {
#ifdef T2T_BRIDGE_RUNNERS
  char why[160] = "", *comma = strrchr(place, ',');
  union {
    void *symbol;
    t2t_runner_of_type call;
  } of;
  size_t at;
  if (!comma) return 0;
  *comma = 0;
  of.symbol = NULL;
  bridge->library = dlopen(place, RTLD_NOW | RTLD_LOCAL);
  if (bridge->library) of.symbol = dlsym(bridge->library, "t2t_runner_of");
  if (!of.symbol) return t2t__give_up(bridge, "%.200s is no runner", place) || 1;
  bridge->runner = of.call();
  if (bridge->runner->version != 1)
    return t2t__give_up(bridge, "%.180s is a runner of another kind", place) || 1;
  bridge->tensors = (void **)t2t__zeros(bridge->count, sizeof *bridge->tensors);
  if (!bridge->tensors) return 0;
  for (at = 0; at < bridge->count; at++)
    bridge->tensors[at] = bridge->row + bridge->places[at];
  bridge->policy =
      bridge->runner->open(comma + 1, bridge->specs, bridge->tensors, bridge->count,
                           &bridge->advice, why, sizeof why);
  if (!bridge->policy)
    t2t__give_up(bridge, "no policy in %.80s (%.150s)", comma + 1, why);
  return 1;
#else
  (void)place;
  t2t__give_up(bridge, "this compiler was built without T2T_BRIDGE_RUNNERS");
  return 1;
#endif
}

/* -- the address ----------------------------------------------------------------- */

static inline double t2t__option(const char *options, const char *name, double value) {
  const char *at = options ? strstr(options, name) : NULL;
  return at ? strtod(at + strlen(name), NULL) : value;
}

/* Connects to whoever the address names; the bridge decides by itself otherwise. */
static inline void t2t__connect(t2t_bridge *bridge, const char *uri) {
  char place[T2T__MOST_NAME];
  const char *colon = strchr(uri, ':'), *options = strchr(uri, '?');
  size_t kind = colon ? (size_t)(colon - uri) : strlen(uri), size;
  int good = 0;
  if (!strcmp(uri, "default") || !*uri) return;
  bridge->timeout = t2t__option(options, "timeout=", 10);
  bridge->spin = 1e-6 * t2t__option(options, "spin=", 0);
  size = colon ? (options ? (size_t)(options - colon) - 1 : strlen(colon + 1)) : 0;
  if (!size || size >= sizeof place) {
    t2t__give_up(bridge, "%.100s is no address", uri);
    return;
  }
  memcpy(place, colon + 1, size);
  place[size] = 0;
  errno = 0;
  if (kind == 4 && !memcmp(uri, "fifo", kind)) {
    bridge->kind = T2T__PIPES;
    good = t2t__open_fifos(bridge, place);
  } else if (kind == 2 && !memcmp(uri, "fd", kind)) {
    bridge->kind = T2T__PIPES;
    good = sscanf(place, "%d,%d", &bridge->in, &bridge->out) == 2 &&
           t2t__nonblocking(bridge->in) >= 0 && t2t__nonblocking(bridge->out) >= 0;
  } else if (kind == 4 && !memcmp(uri, "unix", kind)) {
    bridge->kind = T2T__PIPES;
    good = t2t__open_socket(bridge, place);
  } else if (kind == 3 && !memcmp(uri, "shm", kind)) {
    bridge->kind = T2T__SHARED;
    good = t2t__open_shared(bridge, place);
  } else if (kind == 5 && !memcmp(uri, "model", kind)) {
    bridge->kind = T2T__MODEL;
    good = t2t__open_model(bridge, place);
  } else if (kind == 6 && !memcmp(uri, "runner", kind)) {
    bridge->kind = T2T__RUNNER;
    good = t2t__open_runner(bridge, place);
  } else if (kind == 6 && !memcmp(uri, "record", kind)) {
    bridge->kind = T2T__RECORD;
    bridge->scored = 1;
    good = t2t__open_log(bridge, place);
  } else {
    t2t__give_up(bridge, "%.100s is no address", uri);
    return;
  }
  if (!good)
    t2t__give_up(bridge, "cannot open %.100s (%s)", uri,
                 errno ? strerror(errno) : "it is something else");
}

/* -- what compilers call --------------------------------------------------------- */

static inline int t2t__bad_specs(const t2t_spec *specs, size_t count) {
  size_t at, other;
  for (at = 0; at < count; at++) {
    if (!specs[at].name || !*specs[at].name || !t2t__elements(&specs[at])) return 1;
    for (other = 0; other < at; other++)
      if (!strcmp(specs[at].name, specs[other].name)) return 1;
  }
  return !count || count > T2T_MOST_TENSORS;
}

/* Places for the tensors, and for what travels. */
static inline int t2t__allocate(t2t_bridge *bridge) {
  size_t at, place = T2T__PREFIX;
  bridge->sizes = (size_t *)t2t__zeros(bridge->count, sizeof(size_t));
  bridge->places = (size_t *)t2t__zeros(bridge->count, sizeof(size_t));
  if (!bridge->sizes || !bridge->places) return 0;
  for (at = 0; at < bridge->count; at++) {
    const t2t_spec *spec = &bridge->specs[at];
    bridge->sizes[at] = t2t__elements(spec) * t2t__width(spec->type);
    bridge->row_bytes += bridge->sizes[at];
    bridge->places[at] = place;
    place += (bridge->sizes[at] + 7) / 8 * 8;
  }
  if (bridge->row_bytes > T2T_MOST_BYTES) return 0;
  bridge->advice_bytes = bridge->sizes[bridge->count - 1];
  bridge->row = (unsigned char *)t2t__zeros(1, place);
  bridge->wire = bridge->row;
  if (place - T2T__PREFIX - bridge->row_bytes >= 8 ||
      bridge->places[bridge->count - 1] - T2T__PREFIX !=
          bridge->row_bytes - bridge->advice_bytes)
    bridge->wire = (unsigned char *)t2t__zeros(1, T2T__PREFIX + bridge->row_bytes);
  return bridge->row && bridge->wire;
}

static inline void t2t__free(t2t_bridge *bridge) {
  size_t at;
  t2t__release(bridge);
  for (at = 0; bridge->specs && at < bridge->count; at++)
    free((void *)bridge->specs[at].name);
  free((void *)bridge->advice.name);
  free(bridge->specs);
  free(bridge->sizes);
  free(bridge->places);
  if (bridge->wire != bridge->row) free(bridge->wire);
  free(bridge->row);
  free(bridge->log_name);
  free(bridge);
}

static inline char *t2t__copy(const char *name) {
  char *copy = (char *)malloc(strlen(name) + 1);
  if (copy) memcpy(copy, name, strlen(name) + 1);
  return copy;
}

static inline t2t_bridge *t2t_bridge_open(const char *uri, const t2t_spec *features,
                                          size_t count, const t2t_spec *advice) {
  t2t_bridge *bridge;
  size_t at;
  int good;
  if (t2t__bad_specs(features, count) || t2t__bad_specs(advice, 1)) {
    fprintf(stderr, "t2t bridge: tensors without names, or too large, or none\n");
    return NULL;
  }
  bridge = (t2t_bridge *)t2t__zeros(1, sizeof *bridge);
  if (!bridge) return NULL;
  bridge->in = bridge->out = -1;
  bridge->count = count + 1;
  bridge->specs = (t2t_spec *)t2t__zeros(count + 1, sizeof *bridge->specs);
  bridge->advice = *advice;
  bridge->advice.name = t2t__copy(advice->name);
  good = bridge->specs && bridge->advice.name;
  for (at = 0; good && at <= count; at++) {
    bridge->specs[at] = at < count ? features[at] : *advice;
    bridge->specs[at].name = t2t__copy(at < count ? features[at].name : "default");
    good = bridge->specs[at].name != NULL;
  }
  if (!good || !t2t__allocate(bridge)) {
    t2t__free(bridge);
    return NULL;
  }
  if (!uri) uri = getenv("T2T_BRIDGE");
  t2t__connect(bridge, uri ? uri : "default");
  if (bridge->kind == T2T__PIPES || bridge->kind == T2T__SHARED) {
    t2t__text header = t2t__header(bridge, 0);
    t2t__say(bridge, T2T__HEADER, header.text, header.size);
    free(header.text);
  }
  return bridge;
}

static inline void *t2t_bridge_tensor(t2t_bridge *bridge, size_t feature) {
  return bridge->row + bridge->places[feature];
}

static inline int t2t_bridge_ask(t2t_bridge *bridge, void *answer) {
  size_t last = bridge->count - 1, at;
  unsigned char *into = bridge->wire + T2T__PREFIX;
  if (bridge->kind == T2T__DEFAULT) return 0;
  memcpy(bridge->row + bridge->places[last], answer, bridge->advice_bytes);
  if (bridge->kind == T2T__MODEL) return t2t__ask_model(bridge, answer);
  if (bridge->kind == T2T__RUNNER)
    return bridge->runner->ask(bridge->policy, answer);
  if (bridge->wire != bridge->row)
    for (at = 0; at <= last; into += bridge->sizes[at++])
      memcpy(into, bridge->row + bridge->places[at], bridge->sizes[at]);
  if (bridge->kind == T2T__RECORD) {
    t2t__record(bridge, answer);
    return 0;
  }
  return t2t__ask_host(bridge, answer);
}

static inline void t2t_bridge_context(t2t_bridge *bridge, const char *name) {
  if (bridge->kind == T2T__PIPES || bridge->kind == T2T__SHARED) {
    t2t__say(bridge, T2T__CONTEXT, name, strlen(name));
  } else if (bridge->kind == T2T__RECORD) {
    t2t__text text = {NULL, 0, 0};
    if (!bridge->scored) t2t__score(bridge, 0);
    t2t__append(&text, "{\"context\":", 11);
    t2t__append_string(&text, name);
    t2t__append(&text, "}\n", 2);
    fwrite(text.text, 1, text.size, bridge->log);
    free(text.text);
    bridge->asked = 0;
  }
}

static inline void t2t_bridge_reward(t2t_bridge *bridge, double reward) {
  if (bridge->kind == T2T__PIPES || bridge->kind == T2T__SHARED)
    t2t__say(bridge, T2T__REWARD, &reward, sizeof reward);
  else if (bridge->kind == T2T__RECORD && !bridge->scored)
    t2t__score(bridge, (float)reward);
}

static inline const char *t2t_bridge_failed(const t2t_bridge *bridge) {
  return bridge->failed[0] ? bridge->failed : NULL;
}

static inline void t2t_bridge_close(t2t_bridge *bridge) {
  if (!bridge) return;
  if (bridge->kind == T2T__PIPES || bridge->kind == T2T__SHARED)
    t2t__say(bridge, T2T__DONE, NULL, 0);
  if (bridge->kind == T2T__RECORD) {
    int bad;
    if (!bridge->scored) t2t__score(bridge, 0);
    bad = ferror(bridge->log);
    bad |= fclose(bridge->log);
    bridge->log = NULL;
    if (bad || rename(bridge->log_temporary, bridge->log_name))
      fprintf(stderr, "t2t bridge: %s could not be written\n", bridge->log_name);
  }
  t2t__free(bridge);
}

#ifdef __cplusplus
} /* extern "C" */

namespace t2t {

/* The same in C++. */
class Bridge {
 public:
  template <size_t Count>
  Bridge(const char *uri, const t2t_spec (&features)[Count], const t2t_spec &advice)
      : Bridge(uri, features, Count, advice) {}

  Bridge(const char *uri, const t2t_spec *features, size_t count, const t2t_spec &advice)
      : bridge_(t2t_bridge_open(uri, features, count, &advice)) {}

  Bridge(Bridge &&other) noexcept : bridge_(other.bridge_) { other.bridge_ = nullptr; }
  Bridge(const Bridge &) = delete;
  Bridge &operator=(const Bridge &) = delete;
  Bridge &operator=(Bridge &&) = delete;
  ~Bridge() { t2t_bridge_close(bridge_); }

  /* False for tensors that cannot be meant. */
  explicit operator bool() const { return bridge_ != nullptr; }

  template <typename T>
  T *tensor(size_t feature) {
    return static_cast<T *>(t2t_bridge_tensor(bridge_, feature));
  }

  /* The policy's answer; `own` where there is none. */
  template <typename T>
  T ask(T own) {
    t2t_bridge_ask(bridge_, &own);
    return own;
  }

  bool ask_all(void *answer) { return t2t_bridge_ask(bridge_, answer) != 0; }
  void context(const char *name) { t2t_bridge_context(bridge_, name); }
  void reward(double value) { t2t_bridge_reward(bridge_, value); }
  const char *failed() const { return t2t_bridge_failed(bridge_); }

 private:
  t2t_bridge *bridge_;
};

}  // namespace t2t
#endif

#endif /* T2T_BRIDGE_H */

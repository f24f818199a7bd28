/* Hostile bytes for t2t_bridge.h: a policy's file, a host's answers, a ring's file.

With libFuzzer (clang -fsanitize=fuzzer) or, where there is none, with the files that
are given as words. The first byte says what the others are. */

#include "t2t_bridge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const t2t_spec features[] = {{"a", T2T_INT64, 1, {1}},
                                    {"b", T2T_FLOAT, 2, {1, 3}},
                                    {"c", T2T_UINT8, 1, {3}}};

static void ask(const char *address, t2t_type type) {
  const t2t_spec advice = {"y", type, 1, {1}};
  double answer = 0;
  int n;
  t2t_bridge *bridge = t2t_bridge_open(address, features, 3, &advice);
  if (!bridge) abort();
  *(int64_t *)t2t_bridge_tensor(bridge, 0) = 5;
  ((float *)t2t_bridge_tensor(bridge, 1))[2] = -0.5f;
  ((uint8_t *)t2t_bridge_tensor(bridge, 2))[1] = 1;
  t2t_bridge_context(bridge, "f");
  for (n = 0; n < 3; n++) t2t_bridge_ask(bridge, &answer);
  t2t_bridge_reward(bridge, 1);
  t2t_bridge_close(bridge);
}

static void write_file(const char *name, const uint8_t *data, size_t size) {
  FILE *file = fopen(name, "wb");
  if (!file) abort();
  if (size && fwrite(data, size, 1, file) != 1) abort();
  fclose(file);
}

static void answers(const uint8_t *data, size_t size) {
  char address[64];
  int to[2], from[2];
  if (pipe(to) || pipe(from)) abort();
  if (size > 60000) size = 60000; /* what a pipe takes without a reader */
  if (size && write(to[1], data, size) != (ssize_t)size) abort();
  close(to[1]);
  snprintf(address, sizeof address, "fd:%d,%d?timeout=0.02", to[0], from[1]);
  ask(address, T2T_INT64);
  close(from[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char base[40], name[64], bell[64], address[96];
  static const char *const ends[] = {".in", ".out"};
  int bells[2], at;
  if (!size) return 0;
  snprintf(base, sizeof base, "/tmp/t2t-fuzz-%ld", (long)getpid());
  switch (data[0] % 4) {
    case 0:
    case 1:
      snprintf(name, sizeof name, "%s.flat", base);
      write_file(name, data + 1, size - 1);
      snprintf(address, sizeof address, "model:%s", name);
      ask(address, data[0] % 4 ? T2T_INT64 : T2T_FLOAT);
      remove(name);
      break;
    case 2: answers(data + 1, size - 1); break;
    default:
      snprintf(name, sizeof name, "%s.ring", base);
      write_file(name, data + 1, size - 1);
      for (at = 0; at < 2; at++) {
        snprintf(bell, sizeof bell, "%s%s", base, ends[at]);
        if (mkfifo(bell, 0600) || (bells[at] = open(bell, O_RDWR)) < 0) abort();
      }
      snprintf(address, sizeof address, "shm:%s?timeout=0.002", base);
      ask(address, T2T_INT64);
      for (at = 0; at < 2; at++) {
        snprintf(bell, sizeof bell, "%s%s", base, ends[at]);
        remove(bell);
        close(bells[at]);
      }
      remove(name);
  }
  return 0;
}

#ifndef T2T_LIBFUZZER
int main(int count, char **words) {
  int at;
  if (!freopen("/dev/null", "w", stderr)) return 1;
  for (at = 1; at < count; at++) {
    static uint8_t content[1 << 20];
    FILE *file = fopen(words[at], "rb");
    size_t size;
    if (!file) return 1;
    size = fread(content, 1, sizeof content, file);
    fclose(file);
    LLVMFuzzerTestOneInput(content, size);
  }
  printf("%d\n", count - 1);
  return 0;
}
#endif

/* A compiler in C, or in C++ when compiled so, that asks by t2t_bridge.h.

    bridge_asking ADDRESS COUNT SIZE [MODE]

Each question is SIZE whole numbers and a float; the own decision is -1, and the answer
is to be their sum. Prints how many answers were right, how many questions were left to
the default, how many were wrong, and seconds: the median round trip, all of them, and
until the first answer, opening included. MODE `numbers` prints the answers in place of
that; `quit` asks and goes without a word. */

#include "t2t_bridge.h"

static uint64_t state = 88172645463325252u;

static int64_t next_number(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (int64_t)(state % 2001) - 1000;
}

static int by_size(const void *one, const void *other) {
  double a = *(const double *)one, b = *(const double *)other;
  return (a > b) - (a < b);
}

#ifdef __cplusplus
typedef t2t::Bridge Asked;
#define TENSOR(TYPE, AT) bridge.tensor<TYPE>(AT)
#define ASK(ANSWER) bridge.ask_all(&(ANSWER))
#define CONTEXT(NAME) bridge.context(NAME)
#define REWARD(VALUE) bridge.reward(VALUE)
#else
#define TENSOR(TYPE, AT) ((TYPE *)t2t_bridge_tensor(bridge, AT))
#define ASK(ANSWER) t2t_bridge_ask(bridge, &(ANSWER))
#define CONTEXT(NAME) t2t_bridge_context(bridge, NAME)
#define REWARD(VALUE) t2t_bridge_reward(bridge, VALUE)
#endif

int main(int count_of_words, char **words) {
  const char *mode = count_of_words > 4 ? words[4] : "";
  int64_t size = atoll(words[3]), count = atoll(words[2]), at, n;
  const t2t_spec features[] = {{"x", T2T_INT64, 1, {size}}, {"n", T2T_FLOAT, 1, {1}}};
  const t2t_spec advice = {"sum", T2T_INT64, 1, {1}};
  long right = 0, own = 0, wrong = 0;
  double *took = (double *)calloc((size_t)count + 1, sizeof *took);
  double begun = t2t__now(), first_answer = 0, whole = 0;
#ifdef __cplusplus
  Asked first(words[1], features, advice), bridge(static_cast<Asked &&>(first));
  if (!bridge) return 7;
#else
  t2t_bridge *bridge = t2t_bridge_open(words[1], features, 2, &advice);
  if (!bridge) return 7;
#endif
  CONTEXT("all \"quoted\"");
  for (n = 0; n < count; n++) {
    int64_t sum = 0, answer = -1, *x = TENSOR(int64_t, 0);
    int asked;
    for (at = 0; at < size; at++) sum += x[at] = next_number();
    *TENSOR(float, 1) = (float)n;
    took[n] = t2t__now();
    asked = ASK(answer);
    took[n] = t2t__now() - took[n];
    whole += took[n];
    if (!n) first_answer = t2t__now() - begun;
    if (!strcmp(mode, "numbers")) printf("%d %lld\n", asked, (long long)answer);
    if (asked && answer == sum)
      right++;
    else if (!asked && answer == -1)
      own++;
    else
      wrong++;
    REWARD((double)n / 2);
  }
  if (!strcmp(mode, "quit")) _exit(0);
#ifndef __cplusplus
  t2t_bridge_close(bridge);
#endif
  qsort(took, (size_t)count, sizeof *took, by_size);
  if (strcmp(mode, "numbers"))
    printf("%ld %ld %ld %.9f %.9f %.9f\n", right, own, wrong, took[count / 2], whole,
           first_answer);
  free(took);
  return wrong && strcmp(mode, "numbers");
}

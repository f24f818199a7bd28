/* Prints what a generated policy.h decides on the inputs that come on stdin. */

#include <stdio.h>

#include "policy.h"

int main(void) {
  float inputs[POLICY_INPUTS];
#ifdef MASK
  float mask[POLICY_OUTPUTS];
#endif
  while (fread(inputs, sizeof inputs, 1, stdin) == 1) {
#ifdef MASK
    memcpy(mask, inputs + MASK, sizeof mask);
    printf("%lu\n", (unsigned long)policy_choose(inputs, mask));
#elif defined(VALUES)
    float values[POLICY_OUTPUTS];
    size_t at;
    policy_values(inputs, values);
    for (at = 0; at < POLICY_OUTPUTS; at++) printf("%.9g\n", (double)values[at]);
#else
    printf("%lu\n", (unsigned long)policy_choose(inputs));
#endif
  }
  return 0;
}

/* A program with something for every optimisation, which prints a checksum. */

#include <stdio.h>
#include <string.h>

typedef struct {
  int key;
  double weight;
  char name[16];
} item;

static unsigned mix(unsigned hash, unsigned value) {
  hash ^= value + 0x9e3779b9u + (hash << 6) + (hash >> 2);
  return hash;
}

static int clamp(int value, int low, int high) {
  if (value < low) return low;
  return value > high ? high : value;
}

static void fill(item *items, int count) {
  int at;
  for (at = 0; at < count; at++) {
    items[at].key = (at * 7919) % 101 - 50;
    items[at].weight = at / 3.0;
    memset(items[at].name, 'a' + at % 26, sizeof items[at].name - 1);
    items[at].name[15] = 0;
  }
}

static void sort(item *items, int count) {
  int at, other;
  for (at = 1; at < count; at++) {
    item moved = items[at];
    for (other = at; other > 0 && items[other - 1].key > moved.key; other--)
      items[other] = items[other - 1];
    items[other] = moved;
  }
}

static int gcd(int a, int b) { return b ? gcd(b, a % b) : a; }

static double matrix(int size) {
  double a[12][12], b[12][12], total = 0;
  int i, j, k;
  for (i = 0; i < size; i++)
    for (j = 0; j < size; j++) {
      a[i][j] = i + j;
      b[i][j] = i == j ? 2 : 1;
    }
  for (i = 0; i < size; i++)
    for (j = 0; j < size; j++)
      for (k = 0; k < size; k++) total += a[i][k] * b[k][j];
  return total;
}

static unsigned text(const char *words) {
  unsigned hash = 5381;
  while (*words) {
    switch (*words) {
      case ' ': hash = mix(hash, 1); break;
      case 'e': hash = mix(hash, 2); break;
      case 't': hash = mix(hash, 3); break;
      default: hash = mix(hash, (unsigned char)*words);
    }
    words++;
  }
  return hash + (unsigned)strlen(words);
}

int main(void) {
  item items[64];
  unsigned hash = text("the optimiser met its better");
  int at;
  fill(items, 64);
  sort(items, 64);
  for (at = 0; at < 64; at++) {
    hash = mix(hash, (unsigned)clamp(items[at].key, -40, 40));
    hash = mix(hash, (unsigned)(items[at].weight * 6));
    hash = mix(hash, text(items[at].name));
    hash = mix(hash, (unsigned)gcd(at * 12, 90));
  }
  for (at = 1; at <= 12; at++) hash = mix(hash, (unsigned)matrix(at));
  printf("%u\n", hash);
  return 0;
}

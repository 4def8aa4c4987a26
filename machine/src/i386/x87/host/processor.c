/*
 * Runs floating-point instructions on the host's processor in 32-bit mode, for the tests. Reads cases from standard input and writes
 * results to standard output, little-endian, packed:
 *
 *   case:   code 64 bytes (padded with 0x90; a memory operand is [esi]), FSAVE image 108 bytes, operand 128 bytes
 *   result: FSAVE image 108 bytes, operand 128 bytes, eax 4 bytes
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

struct input { uint8_t code[64], image[108], operand[128]; } __attribute__((packed));
struct output { uint8_t image[108], operand[128]; uint32_t eax; } __attribute__((packed));

static struct input in;
static struct output out;

static uint8_t *emit(uint8_t *p, const void *bytes, unsigned size) {
  memcpy(p, bytes, size);
  return p + size;
}

static uint8_t *emit32(uint8_t *p, const void *address) {
  uint32_t word = (uint32_t)(uintptr_t)address;
  return emit(p, &word, 4);
}

int main(void) {
  uint8_t *code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) return 2;
  uint8_t *p = code;
  p = emit(p, "\x56\xbe", 2); /* push esi; mov esi, operand */
  p = emit32(p, out.operand);
  p = emit(p, "\x31\xc0\xdd\x25", 4); /* xor eax, eax; frstor [image] */
  p = emit32(p, in.image);
  uint8_t *body = p;
  p += 64;
  p = emit(p, "\xdd\x35", 2); /* fnsave [image] */
  p = emit32(p, out.image);
  p = emit(p, "\xa3", 1); /* mov [eax], eax */
  p = emit32(p, &out.eax);
  p = emit(p, "\x5e\xc3", 2); /* pop esi; ret */
  while (fread(&in, sizeof in, 1, stdin) == 1) {
    memcpy(out.operand, in.operand, sizeof out.operand);
    memcpy(body, in.code, sizeof in.code);
    ((void (*)(void))code)();
    if (fwrite(&out, sizeof out, 1, stdout) != 1) return 1;
  }
  return 0;
}

/**
 * Small programs in two languages with the same algorithm, for comparing generated code: guest TypeScript for our compiler, C for gcc.
 * Each has one function `run(): u32` whose result both must agree on; what it does fits in a few hundred thousand instructions.
 * Long because it is a table of programs.
 *
 * Static memory is `area(n)`, n < AREA bytes, in both.
 */

export const AREA = 65536;

export interface BenchProgram {
  readonly name: string;
  readonly guest: string;
  readonly c: string;
}

export const BENCH_PROGRAMS: readonly BenchProgram[] = [
  {
    name: "crc32, bit by bit",
    guest: `
export function run(): u32 {
  for (let i: usize = 0; i < 4096; i++) store<u8>(area + i, <u8>(i * 73 >> 2));
  let crc: u32 = 0xffffffff;
  for (let i: usize = 0; i < 4096; i++) {
    crc ^= load<u8>(area + i);
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ 0xedb88320 : crc >> 1;
  }
  return ~crc;
}`,
    c: `
u32 run(void) {
  for (u32 i = 0; i < 4096; i++) area[i] = (u8)(i * 73 >> 2);
  u32 crc = 0xffffffff;
  for (u32 i = 0; i < 4096; i++) {
    crc ^= area[i];
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ 0xedb88320 : crc >> 1;
  }
  return ~crc;
}`,
  },
  {
    name: "quicksort of 4096 words",
    guest: `
function sort(low: i32, high: i32): void {
  while (low < high) {
    const pivot = load<u32>(area + ((low + high) >> 1) * 4);
    let i = low, j = high;
    while (i <= j) {
      while (load<u32>(area + i * 4) < pivot) i++;
      while (load<u32>(area + j * 4) > pivot) j--;
      if (i <= j) {
        const t = load<u32>(area + i * 4);
        store<u32>(area + i * 4, load<u32>(area + j * 4));
        store<u32>(area + j * 4, t);
        i++; j--;
      }
    }
    sort(low, j);
    low = i;
  }
}
export function run(): u32 {
  let seed: u32 = 1;
  for (let i: usize = 0; i < 4096; i++) { seed = seed * 1664525 + 1013904223; store<u32>(area + i * 4, seed); }
  sort(0, 4095);
  let sum: u32 = 0;
  for (let i: usize = 0; i < 4096; i++) sum = sum * 31 + load<u32>(area + i * 4);
  return sum;
}`,
    c: `
static void sort(i32 low, i32 high) {
  u32 *a = (u32 *)area;
  while (low < high) {
    u32 pivot = a[(low + high) >> 1];
    i32 i = low, j = high;
    while (i <= j) {
      while (a[i] < pivot) i++;
      while (a[j] > pivot) j--;
      if (i <= j) { u32 t = a[i]; a[i] = a[j]; a[j] = t; i++; j--; }
    }
    sort(low, j);
    low = i;
  }
}
u32 run(void) {
  u32 *a = (u32 *)area, seed = 1, sum = 0;
  for (u32 i = 0; i < 4096; i++) { seed = seed * 1664525 + 1013904223; a[i] = seed; }
  sort(0, 4095);
  for (u32 i = 0; i < 4096; i++) sum = sum * 31 + a[i];
  return sum;
}`,
  },
  {
    name: "matrix 32 x 32, integers",
    guest: `
export function run(): u32 {
  const n: u32 = 32;
  for (let i: u32 = 0; i < n * n; i++) { store<u32>(area + i * 4, i ^ 5); store<u32>(area + 4096 + i * 4, i * 7); }
  for (let i: u32 = 0; i < n; i++) {
    for (let j: u32 = 0; j < n; j++) {
      let sum: u32 = 0;
      for (let k: u32 = 0; k < n; k++) sum += load<u32>(area + (i * n + k) * 4) * load<u32>(area + 4096 + (k * n + j) * 4);
      store<u32>(area + 8192 + (i * n + j) * 4, sum);
    }
  }
  let sum: u32 = 0;
  for (let i: u32 = 0; i < n * n; i++) sum = sum * 31 + load<u32>(area + 8192 + i * 4);
  return sum;
}`,
    c: `
u32 run(void) {
  u32 n = 32, *a = (u32 *)area, *b = a + 1024, *c = a + 2048, check = 0;
  for (u32 i = 0; i < n * n; i++) { a[i] = i ^ 5; b[i] = i * 7; }
  for (u32 i = 0; i < n; i++)
    for (u32 j = 0; j < n; j++) {
      u32 sum = 0;
      for (u32 k = 0; k < n; k++) sum += a[i * n + k] * b[k * n + j];
      c[i * n + j] = sum;
    }
  for (u32 i = 0; i < n * n; i++) check = check * 31 + c[i];
  return check;
}`,
  },
  {
    name: "matrix 24 x 24, f64",
    guest: `
export function run(): u32 {
  const n: u32 = 24;
  for (let i: u32 = 0; i < n * n; i++) { store<f64>(area + i * 8, <f64>(i & 15) + 0.5); store<f64>(area + 8192 + i * 8, <f64>(i % 7) - 3.0); }
  for (let i: u32 = 0; i < n; i++) {
    for (let j: u32 = 0; j < n; j++) {
      let sum: f64 = 0;
      for (let k: u32 = 0; k < n; k++) sum += load<f64>(area + (i * n + k) * 8) * load<f64>(area + 8192 + (k * n + j) * 8);
      store<f64>(area + 16384 + (i * n + j) * 8, sum);
    }
  }
  let sum: u32 = 0;
  for (let i: u32 = 0; i < n * n; i++) sum = sum * 31 + <u32><i32>(load<f64>(area + 16384 + i * 8) * 4.0);
  return sum;
}`,
    c: `
u32 run(void) {
  u32 n = 24, check = 0;
  double *a = (double *)area, *b = a + 1024, *c = a + 2048;
  for (u32 i = 0; i < n * n; i++) { a[i] = (double)(i & 15) + 0.5; b[i] = (double)(i % 7) - 3.0; }
  for (u32 i = 0; i < n; i++)
    for (u32 j = 0; j < n; j++) {
      double sum = 0;
      for (u32 k = 0; k < n; k++) sum += a[i * n + k] * b[k * n + j];
      c[i * n + j] = sum;
    }
  for (u32 i = 0; i < n * n; i++) check = check * 31 + (u32)(i32)(c[i] * 4.0);
  return check;
}`,
  },
  {
    name: "strings: copy, length, compare, find",
    guest: `
function length(s: usize): u32 { let n: u32 = 0; while (load<u8>(s + n) != 0) n++; return n; }
function copy(to: usize, from: usize): void { let c: u32; do { c = load<u8>(from++); store<u8>(to++, c); } while (c != 0); }
function compare(a: usize, b: usize): i32 {
  while (load<u8>(a) != 0 && load<u8>(a) == load<u8>(b)) { a++; b++; }
  return <i32>load<u8>(a) - <i32>load<u8>(b);
}
function find(s: usize, part: usize): i32 {
  for (let at = s; load<u8>(at) != 0; at++) {
    let k: usize = 0;
    while (load<u8>(part + k) != 0 && load<u8>(at + k) == load<u8>(part + k)) k++;
    if (load<u8>(part + k) == 0) return <i32>(at - s);
  }
  return -1;
}
export function run(): u32 {
  for (let i: usize = 0; i < 2000; i++) store<u8>(area + i, <u8>(97 + i * i % 23));
  store<u8>(area + 2000, 0);
  let sum: u32 = 0;
  for (let round: usize = 0; round < 20; round++) {
    copy(area + 4096, area + round);
    sum = sum * 31 + length(area + 4096);
    store<u8>(area + 4096 + 1000 + round, 33);
    sum = sum * 31 + <u32>compare(area + round, area + 4096);
    store<u8>(area + 8192, 33); store<u8>(area + 8193, load<u8>(area + 4096 + 1001 + round)); store<u8>(area + 8194, 0);
    sum = sum * 31 + <u32>find(area + 4096, area + 8192);
  }
  return sum;
}`,
    c: `
static u32 length(const u8 *s) { u32 n = 0; while (s[n] != 0) n++; return n; }
static void copy(u8 *to, const u8 *from) { u8 c; do { c = *from++; *to++ = c; } while (c != 0); }
static i32 compare(const u8 *a, const u8 *b) {
  while (*a != 0 && *a == *b) { a++; b++; }
  return (i32)*a - (i32)*b;
}
static i32 find(const u8 *s, const u8 *part) {
  for (const u8 *at = s; *at != 0; at++) {
    u32 k = 0;
    while (part[k] != 0 && at[k] == part[k]) k++;
    if (part[k] == 0) return at - s;
  }
  return -1;
}
u32 run(void) {
  for (u32 i = 0; i < 2000; i++) area[i] = (u8)(97 + i * i % 23);
  area[2000] = 0;
  u32 sum = 0;
  for (u32 round = 0; round < 20; round++) {
    copy(area + 4096, area + round);
    sum = sum * 31 + length(area + 4096);
    area[4096 + 1000 + round] = 33;
    sum = sum * 31 + (u32)compare(area + round, area + 4096);
    area[8192] = 33; area[8193] = area[4096 + 1001 + round]; area[8194] = 0;
    sum = sum * 31 + (u32)find(area + 4096, area + 8192);
  }
  return sum;
}`,
  },
  {
    name: "sieve to 16384",
    guest: `
export function run(): u32 {
  const n: usize = 16384;
  for (let i: usize = 0; i < n; i++) store<u8>(area + i, 1);
  let count: u32 = 0;
  for (let i: usize = 2; i < n; i++) {
    if (load<u8>(area + i) == 0) continue;
    count++;
    for (let j = i + i; j < n; j += i) store<u8>(area + j, 0);
  }
  return count;
}`,
    c: `
u32 run(void) {
  u32 n = 16384, count = 0;
  for (u32 i = 0; i < n; i++) area[i] = 1;
  for (u32 i = 2; i < n; i++) {
    if (area[i] == 0) continue;
    count++;
    for (u32 j = i + i; j < n; j += i) area[j] = 0;
  }
  return count;
}`,
  },
  {
    name: "64-bit hash",
    guest: `
export function run(): u32 {
  for (let i: usize = 0; i < 4096; i++) store<u8>(area + i, <u8>(i * 11));
  let hash: u64 = 0xcbf29ce484222325;
  for (let i: usize = 0; i < 4096; i++) {
    hash = (hash ^ load<u8>(area + i)) * 0x100000001b3;
    hash ^= hash >> 29;
  }
  return <u32>(hash >> 32) ^ <u32>hash;
}`,
    c: `
u32 run(void) {
  for (u32 i = 0; i < 4096; i++) area[i] = (u8)(i * 11);
  u64 hash = 0xcbf29ce484222325ull;
  for (u32 i = 0; i < 4096; i++) {
    hash = (hash ^ area[i]) * 0x100000001b3ull;
    hash ^= hash >> 29;
  }
  return (u32)(hash >> 32) ^ (u32)hash;
}`,
  },
  {
    name: "calls: fibonacci 18 through a pointer",
    guest: `
function fibonacci(n: u32): u32 {
  if (n < 2) return n;
  const self = load<u32>(area);
  return call_indirect<u32>(self, n - 1) + call_indirect<u32>(self, n - 2);
}
export function run(): u32 {
  store<u32>(area, <u32>functionAddress(fibonacci));
  return fibonacci(18);
}`,
    c: `
static u32 fibonacci(u32 n) {
  if (n < 2) return n;
  u32 (*self)(u32) = *(u32 (*volatile *)(u32))area;
  return self(n - 1) + self(n - 2);
}
u32 run(void) {
  *(u32 (**)(u32))area = fibonacci;
  return fibonacci(18);
}`,
  },
  {
    name: "linked list of 4000 nodes",
    guest: `
export function run(): u32 {
  const n: u32 = 4000;
  let at: u32 = 0;
  for (let i: u32 = 0; i < n; i++) {
    const to = (at + 1237) % n;
    store<u32>(area + at * 8, i + 1 < n ? <u32>area + to * 8 : 0);
    store<u32>(area + at * 8 + 4, i * 2654435761);
    at = to;
  }
  let sum: u32 = 0;
  let head = <u32>area;
  for (let round = 0; round < 10; round++) {
    let previous: u32 = 0;
    let node = head;
    while (node != 0) {
      const next = load<u32>(node);
      const value = load<u32>(node, 4);
      sum = value & 1 ? sum + value : sum ^ value;
      store<u32>(node, previous);
      previous = node;
      node = next;
    }
    head = previous;
  }
  return sum;
}`,
    c: `
struct node { struct node *next; u32 value; };
u32 run(void) {
  u32 n = 4000, at = 0, sum = 0;
  struct node *nodes = (struct node *)area;
  for (u32 i = 0; i < n; i++) {
    u32 to = (at + 1237) % n;
    nodes[at].next = i + 1 < n ? nodes + to : 0;
    nodes[at].value = i * 2654435761u;
    at = to;
  }
  struct node *head = nodes;
  for (int round = 0; round < 10; round++) {
    struct node *previous = 0, *node = head;
    while (node) {
      struct node *next = node->next;
      u32 value = node->value;
      sum = value & 1 ? sum + value : sum ^ value;
      node->next = previous;
      previous = node;
      node = next;
    }
    head = previous;
  }
  return sum;
}`,
  },
  {
    name: "records, strings and small functions",
    guest: `
function copyRecord(to: usize, from: usize): void { for (let i: usize = 0; i < 48; i += 4) store<u32>(to + i, load<u32>(from + i)); }
function compareText(a: usize, b: usize): i32 {
  let i: usize = 0;
  while (load<u8>(a + i) != 0 && load<u8>(a + i) == load<u8>(b + i)) i++;
  return <i32>load<u8>(a + i) - <i32>load<u8>(b + i);
}
function choose(value: u32): u32 {
  switch (value) {
    case 0: return 2;
    case 1: return load<u32>(area + 2048) > 100 ? 0 : 3;
    case 2: return 1;
    case 3: return 2;
    default: return 4;
  }
}
function second(a: u32, b: u32): u32 { const c = a + 2; return b + c; }
function arrays(row: u32, value: u32): void {
  const at = area + 4096 + row * 64;
  store<u32>(at, value); store<u32>(at + 4, load<u32>(at)); store<u32>(at + 60, row);
  for (let i: u32 = row; i <= row + 1; i++) store<u32>(area + 4096 + i * 64 + 8, row);
  store<u32>(area + 2048, load<u32>(area + 2048) + 5);
}
export function run(): u32 {
  for (let i: usize = 0; i < 30; i++) { store<u8>(area + 16 + i, <u8>(65 + i)); store<u8>(area + 1040 + i, <u8>(65 + i)); }
  store<u8>(area + 45, 0); store<u8>(area + 1069, 1); store<u8>(area + 1070, 0);
  store<u32>(area + 2048, 0);
  let sum: u32 = 0;
  for (let i: u32 = 1; i <= 1000; i++) {
    store<u32>(area, i); store<u32>(area + 4, choose(i & 3));
    copyRecord(area + 512, area);
    let a: u32 = 2, b: u32 = 3;
    while (a < b) { sum += 5 * a - b; a++; }
    sum = second(sum, i);
    arrays(i & 15, sum);
    if (compareText(area + 528, area + 1040) < 0) sum += 7;
    for (let c: u32 = 0; c <= load<u32>(area + 516); c++) sum ^= choose(c) << 3;
    b = b * a; a = b / 7; b = 7 * (b - a) - i;
    sum += b;
  }
  return sum + load<u32>(area + 2048);
}`,
    c: `
static void copyRecord(u8 *to, u8 *from) { for (u32 i = 0; i < 48; i += 4) *(u32 *)(to + i) = *(u32 *)(from + i); }
static i32 compareText(u8 *a, u8 *b) {
  u32 i = 0;
  while (a[i] != 0 && a[i] == b[i]) i++;
  return (i32)a[i] - (i32)b[i];
}
#define WORD(x) (*(u32 *)(area + (x)))
static u32 choose(u32 value) {
  switch (value) {
    case 0: return 2;
    case 1: return WORD(2048) > 100 ? 0 : 3;
    case 2: return 1;
    case 3: return 2;
    default: return 4;
  }
}
static u32 second(u32 a, u32 b) { u32 c = a + 2; return b + c; }
static void arrays(u32 row, u32 value) {
  u32 at = 4096 + row * 64;
  WORD(at) = value; WORD(at + 4) = WORD(at); WORD(at + 60) = row;
  for (u32 i = row; i <= row + 1; i++) WORD(4096 + i * 64 + 8) = row;
  WORD(2048) += 5;
}
u32 run(void) {
  for (u32 i = 0; i < 30; i++) { area[16 + i] = 65 + i; area[1040 + i] = 65 + i; }
  area[45] = 0; area[1069] = 1; area[1070] = 0;
  WORD(2048) = 0;
  u32 sum = 0;
  for (u32 i = 1; i <= 1000; i++) {
    WORD(0) = i; WORD(4) = choose(i & 3);
    copyRecord(area + 512, area);
    u32 a = 2, b = 3;
    while (a < b) { sum += 5 * a - b; a++; }
    sum = second(sum, i);
    arrays(i & 15, sum);
    if (compareText(area + 528, area + 1040) < 0) sum += 7;
    for (u32 c = 0; c <= WORD(516); c++) sum ^= choose(c) << 3;
    b = b * a; a = b / 7; b = 7 * (b - a) - i;
    sum += b;
  }
  return sum + WORD(2048);
}`,
  },
  {
    name: "interpreter of byte code",
    guest: `
let position: usize = 0;
function put(operation: u32, operand: u32): void { store<u8>(position, <u8>operation); store<u8>(position + 1, <u8>operand); position += 2; }
export function run(): u32 {
  // Stack machine; variables 0 counter, 1 sum.
  position = area + 1024;
  put(3, 250); put(2, 0); put(3, 1); put(2, 1);
  put(1, 1); put(1, 0); put(4, 0); put(3, 31); put(6, 0); put(3, 77); put(5, 0); put(2, 1);
  put(1, 0); put(8, 0); put(2, 0); put(1, 0); put(7, 26); put(0, 0);
  let result: u32 = 0;
  for (let round = 0; round < 8; round++) {
    let pc = area + 1024, sp = area + 512, running = true;
    while (running) {
      const operand = <u32>load<u8>(pc, 1);
      const operation = load<u8>(pc);
      pc += 2;
      switch (operation) {
        case 0: running = false; break;
        case 1: store<u32>(sp, load<u32>(area + operand * 4)); sp += 4; break;
        case 2: sp -= 4; store<u32>(area + operand * 4, load<u32>(sp)); break;
        case 3: store<u32>(sp, operand); sp += 4; break;
        case 4: sp -= 4; store<u32>(sp - 4, load<u32>(sp - 4) + load<u32>(sp)); break;
        case 5: sp -= 4; store<u32>(sp - 4, load<u32>(sp - 4) ^ load<u32>(sp)); break;
        case 6: sp -= 4; store<u32>(sp - 4, load<u32>(sp - 4) * load<u32>(sp)); break;
        case 7: sp -= 4; if (load<u32>(sp) != 0) pc -= operand; break;
        case 8: store<u32>(sp - 4, load<u32>(sp - 4) - 1); break;
      }
    }
    result = result * 31 + load<u32>(area + 4);
  }
  return result;
}`,
    c: `
static u8 *position;
static void put(u32 operation, u32 operand) { *position++ = operation; *position++ = operand; }
u32 run(void) {
  position = area + 1024;
  put(3, 250); put(2, 0); put(3, 1); put(2, 1);
  put(1, 1); put(1, 0); put(4, 0); put(3, 31); put(6, 0); put(3, 77); put(5, 0); put(2, 1);
  put(1, 0); put(8, 0); put(2, 0); put(1, 0); put(7, 26); put(0, 0);
  u32 result = 0, *variables = (u32 *)area;
  for (int round = 0; round < 8; round++) {
    u8 *pc = area + 1024;
    u32 *sp = (u32 *)(area + 512);
    int running = 1;
    while (running) {
      u32 operand = pc[1], operation = pc[0];
      pc += 2;
      switch (operation) {
        case 0: running = 0; break;
        case 1: *sp++ = variables[operand]; break;
        case 2: variables[operand] = *--sp; break;
        case 3: *sp++ = operand; break;
        case 4: sp--; sp[-1] += *sp; break;
        case 5: sp--; sp[-1] ^= *sp; break;
        case 6: sp--; sp[-1] *= *sp; break;
        case 7: if (*--sp != 0) pc -= operand; break;
        case 8: sp[-1]--; break;
      }
    }
    result = result * 31 + variables[1];
  }
  return result;
}`,
  },
];

export function guestSource(program: BenchProgram): string {
  return `const area: usize = memory.data(${AREA}, 16);\n${program.guest}\n`;
}

export function cSource(program: BenchProgram): string {
  return [
    "typedef unsigned char u8; typedef unsigned u32; typedef int i32; typedef unsigned long long u64;",
    `static u8 area[${AREA}] __attribute__((aligned(16)));`,
    program.c,
    "",
  ].join("\n");
}

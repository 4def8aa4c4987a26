/**
 * Small programs in two languages with the same algorithm, for comparing generated code: guest TypeScript for our compiler, C for gcc.
 * Each has one function `run(): u32` whose result both must agree on; what it does fits in a few hundred thousand instructions.
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

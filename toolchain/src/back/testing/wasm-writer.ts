/** A small writer of wasm binaries for tests: modules whose functions are lists of bytes. */
import type { ValueType } from "../ir/instructions.ts";

const typeCodes: Readonly<Record<ValueType, number>> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c };

export function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let v = value >>> 0;
  do {
    const low = v & 0x7f;
    v >>>= 7;
    bytes.push(v === 0 ? low : low | 0x80);
  } while (v !== 0);
  return bytes;
}

export function signed(value: number | bigint): number[] {
  const bytes: number[] = [];
  let v = BigInt(value);
  for (;;) {
    const low = Number(v & 0x7fn);
    v >>= 7n;
    if ((v === 0n && (low & 0x40) === 0) || (v === -1n && (low & 0x40) !== 0)) {
      bytes.push(low);
      return bytes;
    }
    bytes.push(low | 0x80);
  }
}

const text = (s: string): number[] => [...unsigned(s.length), ...[...s].map((c) => c.charCodeAt(0))];

export interface TestFunction {
  readonly name: string;
  readonly parameters?: readonly ValueType[];
  readonly result?: ValueType;
  readonly locals?: readonly ValueType[];
  /** Instructions, without the final end. */
  readonly body: readonly number[];
  readonly exported?: boolean;
}

export interface TestModule {
  readonly imports?: ReadonlyArray<{
    readonly module: string;
    readonly name: string;
    readonly parameters: readonly ValueType[];
    readonly result?: ValueType;
  }>;
  readonly functions: readonly TestFunction[];
  /** Function indices from table index 1 on. */
  readonly table?: readonly number[];
  /** Initial memory. */
  readonly data?: { readonly address: number; readonly bytes: Uint8Array };
}

const memoryPages = 16;

export function encodeModule(module: TestModule): Uint8Array {
  const imports = module.imports ?? [];
  const out: number[] = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  const section = (id: number, content: readonly number[]) => {
    out.push(id, ...unsigned(content.length));
    for (const b of content) out.push(b);
  };
  const vector = (items: ReadonlyArray<readonly number[]>) => [...unsigned(items.length), ...items.flat()];
  const signature = (parameters: readonly ValueType[] = [], result?: ValueType) => [
    0x60,
    ...vector(parameters.map((t) => [typeCodes[t]])),
    ...vector(result ? [[typeCodes[result]]] : []),
  ];
  section(1, vector([...imports, ...module.functions].map((f) => signature(f.parameters, f.result))));
  if (imports.length > 0) {
    section(2, vector(imports.map((f, n) => [...text(f.module), ...text(f.name), 0, ...unsigned(n)])));
  }
  section(3, vector(module.functions.map((_, n) => unsigned(imports.length + n))));
  if (module.table) section(4, vector([[0x70, 0, ...unsigned(module.table.length + 1)]]));
  section(5, vector([[0, memoryPages]]));
  const exports = [
    [...text("memory"), 2, 0],
    ...module.functions.flatMap((f, n) =>
      f.exported ? [[...text(f.name), 0, ...unsigned(imports.length + n)]] : [],
    ),
  ];
  section(7, vector(exports));
  if (module.table) section(9, vector([[0, 0x41, 1, 0x0b, ...vector(module.table.map((f) => unsigned(f)))]]));
  const bodies = module.functions.map((f) => {
    const locals = vector((f.locals ?? []).map((t) => [1, typeCodes[t]]));
    return [...unsigned(locals.length + f.body.length + 1), ...locals, ...f.body, 0x0b];
  });
  section(10, vector(bodies));
  if (module.data) {
    const { address, bytes } = module.data;
    section(11, vector([[0, 0x41, ...signed(address), 0x0b, ...unsigned(bytes.length), ...bytes]]));
  }
  const names = vector(module.functions.map((f, n) => [...unsigned(imports.length + n), ...text(f.name)]));
  section(0, [...text("name"), 1, ...unsigned(names.length), ...names]);
  return Uint8Array.from(out);
}

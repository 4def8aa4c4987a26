/** Places assembled code at an address: all its symbols are its own. */
import type { AssembledCode } from "../../i386/assembly.ts";

export interface LinkedCode {
  readonly bytes: Uint8Array;
  readonly symbols: ReadonlyMap<string, number>;
}

export function link(code: AssembledCode, base: number): LinkedCode {
  const bytes = code.text.slice();
  const view = new DataView(bytes.buffer);
  const symbols = new Map([...code.symbols].map(([name, offset]) => [name, base + offset]));
  for (const { offset, kind, symbol, addend } of code.fixups) {
    const address = symbols.get(symbol);
    if (address === undefined) throw new Error(`harness: symbol "${symbol}" is not defined`);
    const value = kind === "relative32" ? address + addend - (base + offset + 4) : address + addend;
    view.setInt32(offset, value, true);
  }
  return { bytes, symbols };
}

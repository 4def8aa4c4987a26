/**
 * What wasm's index spaces mean in an image: which symbol a function index, a table index, a global or a relocated
 * constant stands for. One `Naming` serves all functions of a module.
 */
import { BuildError, type FrontModule, type ImportedFunction, type SourcePosition } from "../../contract.ts";
import type { FunctionType, WasmGlobal, WasmModule } from "./module.ts";

export type Callee =
  | { readonly kind: "direct"; readonly symbol: string; readonly type: FunctionType }
  | { readonly kind: "slot"; readonly symbol: string; readonly type: FunctionType }
  | { readonly kind: "intrinsic"; readonly name: string; readonly type: FunctionType };

/** An address, or the value of an import slot. */
export type Target = { readonly symbol: string; readonly addend: number; readonly throughSlot: boolean };

export class Naming {
  readonly module: WasmModule;
  readonly front: FrontModule;
  private readonly imported = new Map<string, ImportedFunction>();

  constructor(module: WasmModule, front: FrontModule) {
    this.module = module;
    this.front = front;
  }

  /** Functions of other images used so far. */
  get imports(): ImportedFunction[] {
    return [...this.imported.values()];
  }

  callee(index: number, position: SourcePosition | undefined): Callee {
    const { imports, functions } = this.module;
    if (index >= imports.length) {
      const f = functions[index - imports.length];
      if (!f) throw new BuildError(`call of function ${index}, which does not exist`, this.where(position));
      return { kind: "direct", symbol: f.name, type: f.type };
    }
    const { module, name, type } = imports[index];
    if (module === "intrinsic") return { kind: "intrinsic", name, type };
    if (module === "assembly") return { kind: "direct", symbol: name, type };
    if (module.startsWith("library:")) {
      const library = module.slice("library:".length);
      const key = `${library}!${name}`;
      if (!this.imported.has(key)) {
        this.imported.set(key, position ? { library, name, position } : { library, name });
      }
      return { kind: "slot", symbol: `import:${key}`, type };
    }
    throw new BuildError(
      `function "${name}" is imported from "${module}", which is no library, no assembly of this image and no intrinsic`,
      this.where(position, name),
    );
  }

  /** The code address that a table index stands for. */
  tableEntry(tableIndex: number, position: SourcePosition | undefined): Target {
    const index = this.module.table.get(tableIndex);
    if (index === undefined) {
      throw new BuildError(`table index ${tableIndex} has no function`, this.where(position));
    }
    const callee = this.callee(index, position);
    if (callee.kind === "intrinsic") {
      throw new BuildError(`intrinsic "${callee.name}" has no address`, this.where(position, callee.name));
    }
    return { symbol: callee.symbol, addend: 0, throughSlot: callee.kind === "slot" };
  }

  /** What the relocated constant at a byte offset of the module stands for, and its sign; undefined when it is a plain number. */
  relocated(
    wasmOffset: number,
    value: number,
    position: SourcePosition | undefined,
  ): { readonly target: Target; readonly sign: 1 | -1 } | undefined {
    const relocation = this.front.codeRelocations.get(wasmOffset);
    if (!relocation) return undefined;
    const positive = relocation.sign === 1 ? value : -value;
    if (relocation.kind === "function") {
      return { target: this.tableEntry(positive, position), sign: relocation.sign };
    }
    const addend = (positive - this.front.memoryBase) | 0;
    return { target: { symbol: "data", addend, throughSlot: false }, sign: relocation.sign };
  }

  global(index: number, position: SourcePosition | undefined): WasmGlobal {
    const global = this.module.globals[index];
    if (!global) throw new BuildError(`global ${index} does not exist`, this.where(position));
    return global;
  }

  private where(position: SourcePosition | undefined, symbol?: string) {
    return { file: this.module.fileName, position, symbol };
  }
}

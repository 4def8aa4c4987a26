/**
 * The back end: one wasm module, as the front made it, to relocatable i386 code.
 *
 *   wasm ─► SSA ─► optimise ─► legalise ─► optimise ─► select ─► allocate ─► lay out ─► emit
 *   └──────── machine-independent ────────────────┘  └──────────── i386/ ────────────────┘
 *
 * What the image must provide at run time: DS = ES = SS for all addresses that code uses, direction flag clear, x87
 * control word 0x027F (53-bit precision, round to nearest, exceptions masked).
 */
import { Assembler } from "@rialto/machine/i386/assembler.ts";
import type { Label } from "@rialto/machine/i386/assembly.ts";
import {
  BuildError,
  type CodeObject,
  type DataSection,
  type Fixup,
  type FrontModule,
  type FunctionInfo,
  type VariableInfo,
} from "../contract.ts";
import { allocateRegisters } from "./i386/allocate.ts";
import type { MachineFunction } from "./i386/code.ts";
import { ConstantPool, constantsSymbol } from "./i386/constants.ts";
import { type EmittedFunction, emitFunction } from "./i386/emit.ts";
import { layOut } from "./i386/layout.ts";
import { improve } from "./i386/peephole.ts";
import { forwardSlots } from "./i386/reloads.ts";
import { runtimeRoutines } from "./i386/routines.ts";
import { type ImageContext, selectInstructions } from "./i386/select.ts";
import { shareSlots } from "./i386/slots.ts";
import { splitCriticalEdges } from "./ir/flow.ts";
import type { Routine } from "./ir/instructions.ts";
import { legalise } from "./ir/legalise.ts";
import { optimise, optimiseLegal } from "./ir/optimise.ts";
import { translateFunction } from "./wasm/function.ts";
import { Naming } from "./wasm/link-names.ts";
import { decodeModule, type WasmFunction, type WasmModule } from "./wasm/module.ts";

export interface CompileOptions {
  /** Keeps every named local variable in the frame, where a debugger finds it, at the price of a store an assignment. */
  readonly debugVariables?: boolean;
  /** Sees every routine before instructions are selected: for dumps and for the verifier. */
  readonly inspect?: (routine: Routine, stage: "translated" | "optimised" | "legal") => void;
}

export function compileModule(front: FrontModule, options: CompileOptions = {}): CodeObject {
  const module = decodeModule(front.wasm, `${front.name}.wasm`);
  const naming = new Naming(module, front);
  const constants = new ConstantPool();
  const image: ImageContext = {
    constants,
    routines: new Set(),
    fail: (message, wasmOffset, symbol) =>
      new BuildError(message, { file: module.fileName, position: front.sourceAt(wasmOffset), symbol }),
  };
  const assembler = new Assembler();
  const emitted: Array<EmittedFunction & Pick<FunctionInfo, "variables">> = [];
  for (const f of module.functions) {
    try {
      const routine = translateFunction(f, naming, options.debugVariables);
      options.inspect?.(routine, "translated");
      optimise(routine);
      options.inspect?.(routine, "optimised");
      legalise(routine);
      optimiseLegal(routine);
      splitCriticalEdges(routine);
      options.inspect?.(routine, "legal");
      const machine = selectInstructions(routine, image);
      allocateRegisters(machine);
      forwardSlots(machine);
      shareSlots(machine);
      layOut(machine);
      improve(machine);
      const result = emitFunction(assembler, machine, constants, (offset) => front.sourceAt(offset));
      emitted.push({ ...result, variables: variablesOf(f, routine, machine, result) });
    } catch (error) {
      if (error instanceof BuildError) throw error;
      const message = `function ${f.name} cannot be compiled: ${error instanceof Error ? error.message : error}`;
      const position = front.sourceAt(f.bodyStart);
      throw new BuildError(message, { file: module.fileName, position, symbol: f.name }, { cause: error });
    }
  }
  const routines = emitRoutines(assembler, image.routines);
  const poolRange = emitConstants(assembler, constants);
  const code = assembler.finish();

  const functions: FunctionInfo[] = module.functions.map((f, n) => {
    const { framed, start, end, lines, variables } = emitted[n];
    const offset = code.symbols.get(f.name)!;
    return {
      name: f.name,
      exports: f.exports,
      offset,
      size: code.labels[end.id] - code.labels[start.id],
      lines: lines.map((line) => ({ offset: code.labels[line.label.id] - offset, position: line.position })),
      variables,
      framed,
    };
  });
  for (const range of [...routines, ...poolRange]) {
    const offset = code.labels[range.start.id];
    const size = code.labels[range.end.id] - offset;
    const { name, framed } = range;
    functions.push({ name, exports: [], offset, size, lines: [], variables: [], framed });
  }
  const result: CodeObject = {
    name: front.name,
    text: code.text,
    textFixups: code.fixups,
    functions,
    data: dataSection(front, module, naming),
    globals: globals(module, naming),
    imports: naming.imports,
    ...(front.signatures && { signatures: front.signatures }),
  };
  if (module.start === undefined) return result;
  const start = naming.callee(module.start, undefined);
  if (start.kind !== "direct")
    throw new BuildError("the start function is imported", { file: module.fileName });
  return { ...result, start: start.symbol };
}

/** Variables with a home: all named ones in debug builds, else arguments that keep their place. */
function variablesOf(f: WasmFunction, routine: Routine, machine: MachineFunction, emitted: EmittedFunction) {
  const types = [...f.type.parameters, ...f.locals];
  const variables: VariableInfo[] = [];
  let word = 0;
  for (const [n, type] of types.entries()) {
    const parameter = n < f.type.parameters.length;
    const name = f.localNames.get(n);
    const home = machine.variables.get(n);
    const words = type === "i64" || type === "f64" ? 2 : 1;
    const first = word;
    if (parameter) word += words;
    if (name === undefined || !emitted.framed) continue;
    if (home) variables.push({ name, type, parameter, frameOffset: home.offset });
    else if (parameter && !routine.assignedParameters.has(n)) {
      const reused = emitted.reusedArguments.has(first) || emitted.reusedArguments.has(first + words - 1);
      if (!reused) variables.push({ name, type, parameter, frameOffset: 8 + 4 * first });
    }
  }
  return variables;
}

interface EmittedRange {
  readonly name: string;
  readonly start: Label;
  readonly end: Label;
  readonly framed: boolean;
}

function emitRoutines(a: Assembler, names: ReadonlySet<string>): EmittedRange[] {
  return [...names].sort().map((name) => {
    const routine = runtimeRoutines[name];
    if (!routine) throw new BuildError(`no routine ${name}`);
    a.align(16);
    const start = a.mark();
    a.label(name);
    routine.emit(a);
    return { name, start, end: a.mark(), framed: routine.framed };
  });
}

function emitConstants(a: Assembler, constants: ConstantPool): EmittedRange[] {
  if (constants.bytes.length === 0) return [];
  a.align(16);
  const start = a.mark();
  a.label(constantsSymbol);
  a.bytes(constants.bytes);
  return [{ name: constantsSymbol, start, end: a.mark(), framed: false }];
}

function dataSection(front: FrontModule, module: WasmModule, naming: Naming): DataSection {
  const base = front.memoryBase >>> 0;
  const fail = (message: string) => new BuildError(message, { file: module.fileName });
  let end = 0;
  for (const { offset, bytes } of module.data) {
    if (offset < base) throw fail(`static data at ${offset}, below the memory base ${base}`);
    end = Math.max(end, offset - base + bytes.length);
  }
  const bytes = new Uint8Array(end);
  for (const segment of module.data) bytes.set(segment.bytes, segment.offset - base);
  const view = new DataView(bytes.buffer);
  const fixups = front.dataRelocations.map(({ offset, kind }): Fixup => {
    if (offset + 4 > end) throw fail(`relocation at byte ${offset} of ${end} bytes of static data`);
    const value = view.getUint32(offset, true);
    if (kind === "data") return { offset, kind: "absolute32", symbol: "data", addend: (value - base) | 0 };
    const { symbol, throughSlot } = naming.tableEntry(value, undefined);
    if (throughSlot) {
      throw fail(
        `static data holds the address of ${symbol.slice("import:".length)}: take it at run time instead`,
      );
    }
    return { offset, kind: "absolute32", symbol, addend: 0 };
  });
  const size = Math.max(end, (front.dataEnd >>> 0) - base);
  return { bytes, size, fixups };
}

function globals(module: WasmModule, naming: Naming): CodeObject["globals"] {
  return module.globals
    .filter((g) => g.mutable)
    .map((g) => {
      const size: 4 | 8 = g.type === "i64" || g.type === "f64" ? 8 : 4;
      const initial = new Uint8Array(size);
      const view = new DataView(initial.buffer);
      if (g.type === "i32") view.setInt32(0, g.initial as number, true);
      else if (g.type === "i64") view.setBigInt64(0, g.initial as bigint, true);
      else if (g.type === "f32") view.setFloat32(0, g.initial as number, true);
      else view.setFloat64(0, g.initial as number, true);
      const relocation =
        g.type === "i32" ? naming.relocated(g.position, g.initial as number, undefined) : undefined;
      if (!relocation) return { name: g.name, size, initial };
      const { symbol, addend, throughSlot } = relocation.target;
      if (throughSlot || relocation.sign < 0) {
        throw new BuildError(`global ${g.name} starts with an address that only run time knows`, {
          file: module.fileName,
          symbol: g.name,
        });
      }
      initial.fill(0);
      return {
        name: g.name,
        size,
        initial,
        fixup: { offset: 0, kind: "absolute32", symbol, addend } as const,
      };
    });
}

/** Hand-assembled code objects for the tests of this folder: small, but with every kind of symbol and field. */
import type { CodeObject, Fixup, FunctionInfo, SourcePosition } from "../contract.ts";

const at = (line: number, column = 3): SourcePosition => ({ file: "os/apps/sample/main.ts", line, column });

/**
 * A program of two functions, one imported function, static data with an address in it, two globals:
 *
 *   main(argc, argv):  push ebp; mov ebp, esp; push 8; call [import rt!allocate]; mov [counter], eax;
 *                      mov eax, data+4; call helper; leave; ret
 *   helper():          mov eax, [data]; ret
 */
export function sampleProgram(): CodeObject {
  const text = Uint8Array.from([
    0x55, 0x89, 0xe5, 0x6a, 0x08, 0xff, 0x15, 0, 0, 0, 0, 0xa3, 0, 0, 0, 0, 0xb8, 0, 0, 0, 0, 0xe8, 0, 0, 0,
    0, 0xc9, 0xc3, 0x90, 0x90, 0x90, 0x90, 0xa1, 0, 0, 0, 0, 0xc3,
  ]);
  const textFixups: Fixup[] = [
    { offset: 7, kind: "absolute32", symbol: "import:rt!allocate", addend: 0 },
    { offset: 12, kind: "absolute32", symbol: "global:os/apps/sample/main/counter", addend: 0 },
    { offset: 17, kind: "absolute32", symbol: "data", addend: 4 },
    { offset: 22, kind: "relative32", symbol: "os/apps/sample/main/helper", addend: 0 },
    { offset: 33, kind: "absolute32", symbol: "data", addend: 0 },
  ];
  const functions: FunctionInfo[] = [
    {
      name: "os/apps/sample/main/main",
      exports: ["main"],
      offset: 0,
      size: 28,
      lines: [
        { offset: 0, position: at(10, 1) },
        { offset: 3, position: at(11) },
        { offset: 16, position: at(12) },
        { offset: 26, position: at(40) },
      ],
      variables: [
        { name: "argc", type: "i32", parameter: true, frameOffset: 8 },
        { name: "argv", type: "i32", parameter: true, frameOffset: 12 },
        { name: "total", type: "f64", parameter: false, frameOffset: -16 },
      ],
      framed: true,
    },
    {
      name: "os/apps/sample/main/helper",
      exports: [],
      offset: 32,
      size: 6,
      lines: [{ offset: 0, position: { file: "os/interfaces/results.ts", line: 300, column: 1 } }],
      variables: [],
      framed: false,
    },
  ];
  const word = Uint8Array.of(7, 0, 0, 0);
  return {
    name: "sample",
    text,
    textFixups,
    functions,
    data: {
      bytes: Uint8Array.from([1, 2, 3, 4, 0, 0, 0, 0, 9]),
      size: 5000,
      fixups: [{ offset: 4, kind: "absolute32", symbol: "os/apps/sample/main/helper", addend: 0 }],
    },
    globals: [
      { name: "os/apps/sample/main/counter", size: 4, initial: new Uint8Array(4) },
      { name: "os/apps/sample/main/seven", size: 4, initial: word },
      { name: "os/apps/sample/main/wide", size: 8, initial: new Uint8Array(8) },
    ],
    imports: [{ library: "rt", name: "allocate", position: at(11) }],
    start: "os/apps/sample/main/helper",
  };
}

/** An object as the assembler makes it: one label, `mov eax, IMAGE:END; cli; hlt`. */
export function sampleAssembly(label: string, endSymbol: string): CodeObject {
  return {
    name: "entry.asm.ts",
    text: Uint8Array.from([0xb8, 0, 0, 0, 0, 0xfa, 0xf4]),
    textFixups: [{ offset: 1, kind: "absolute32", symbol: endSymbol, addend: 0 }],
    functions: [
      { name: label, exports: [label], offset: 0, size: 7, lines: [], variables: [], framed: false },
    ],
    globals: [],
    imports: [],
  };
}

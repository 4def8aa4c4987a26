/**
 * The registers that GDB sees, in its order for the i386: one table makes the target description and the bytes of `g`.
 * Source: Debugging with GDB, appendix G, "i386 Features" (the core feature's registers and their numbers are fixed there); FSAVE's image:
 * Pentium Processor Family Developer's Manual, volume 3, figure 6-5. Registers of the system are a feature of our own.
 */

import { Segment } from "@rialto/machine/i386/layout.ts";
import type { Pentium } from "@rialto/machine/i386/pentium.ts";

/** A thread's registers: from the processor, or from what the kernel saved. */
export interface RegisterSource {
  read(name: string): number;
  /** FSAVE image, 108 bytes. */
  readonly floatingPoint: Uint8Array;
}

interface Register {
  readonly name: string;
  readonly bits: 32 | 80;
  readonly type: string;
  readonly group?: string;
}

const GENERAL = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"];
const SEGMENTS = ["cs", "ss", "ds", "es", "fs", "gs"];
const SEGMENT_NUMBERS: Readonly<Record<string, number>> = {
  es: Segment.ES,
  cs: Segment.CS,
  ss: Segment.SS,
  ds: Segment.DS,
  fs: Segment.FS,
  gs: Segment.GS,
};
/** Offset in FSAVE's image, shift and mask. The opcode shares a word with the code selector. */
const FLOATING_CONTROL: Readonly<Record<string, readonly [offset: number, shift: number, mask: number]>> = {
  fctrl: [0, 0, 0xffff],
  fstat: [4, 0, 0xffff],
  ftag: [8, 0, 0xffff],
  fiseg: [16, 0, 0xffff],
  fioff: [12, 0, 0xffff_ffff],
  foseg: [24, 0, 0xffff],
  fooff: [20, 0, 0xffff_ffff],
  fop: [16, 16, 0x7ff],
};
const FLOATING_REGISTERS = 28;

const CORE: readonly Register[] = [
  ...GENERAL.map(
    (name): Register => ({ name, bits: 32, type: name === "esp" || name === "ebp" ? "data_ptr" : "int32" }),
  ),
  { name: "eip", bits: 32, type: "code_ptr" },
  { name: "eflags", bits: 32, type: "i386_eflags" },
  ...SEGMENTS.map((name): Register => ({ name, bits: 32, type: "int32" })),
  ...[0, 1, 2, 3, 4, 5, 6, 7].map((n): Register => ({ name: `st${n}`, bits: 80, type: "i387_ext" })),
  ...Object.keys(FLOATING_CONTROL).map((name): Register => ({ name, bits: 32, type: "int", group: "float" })),
];

const SYSTEM: readonly Register[] = ["cr0", "cr2", "cr3", "cr4", "cs_base", "ds_base"].map(
  (name): Register => ({ name, bits: 32, type: "uint32", group: "system" }),
);

const ALL = [...CORE, ...SYSTEM];

export const registerSizes: readonly number[] = ALL.map(({ bits }) => bits / 8);

const FLAG_BITS: Readonly<Record<string, number>> = {
  CF: 0,
  PF: 2,
  AF: 4,
  ZF: 6,
  SF: 7,
  TF: 8,
  IF: 9,
  DF: 10,
  OF: 11,
  NT: 14,
  RF: 16,
  VM: 17,
  AC: 18,
};

export function targetDescription(): string {
  const line = ({ name, bits, type, group }: Register) =>
    `<reg name="${name}" bitsize="${bits}" type="${type}"${group ? ` group="${group}"` : ""}/>`;
  const flags = Object.entries(FLAG_BITS).map(
    ([name, bit]) => `<field name="${name}" start="${bit}" end="${bit}"/>`,
  );
  return `<?xml version="1.0"?>
<!DOCTYPE target SYSTEM "gdb-target.dtd">
<target version="1.0">
<architecture>i386</architecture>
<osabi>none</osabi>
<feature name="org.gnu.gdb.i386.core">
<flags id="i386_eflags" size="4">
${flags.join("\n")}
</flags>
${CORE.map(line).join("\n")}
</feature>
<feature name="org.rialto.i386.system">
${SYSTEM.map(line).join("\n")}
</feature>
</target>
`;
}

/** All registers as `g` wants them. */
export function registerBytes(source: RegisterSource): Uint8Array {
  const bytes = new Uint8Array(registerSizes.reduce((sum, size) => sum + size, 0));
  const view = new DataView(bytes.buffer);
  const image = source.floatingPoint;
  const words = new DataView(image.buffer, image.byteOffset, image.byteLength);
  let offset = 0;
  for (const { name, bits } of ALL) {
    if (bits === 80) {
      const start = FLOATING_REGISTERS + 10 * Number(name.slice(2));
      bytes.set(image.subarray(start, start + 10), offset);
    } else {
      const control = FLOATING_CONTROL[name];
      const value = control
        ? (words.getUint32(control[0], true) >>> control[1]) & control[2]
        : source.read(name);
      view.setUint32(offset, value, true);
    }
    offset += bits / 8;
  }
  return bytes;
}

export function registerName(number: number): string | undefined {
  return ALL[number]?.name;
}

export function processorRegisters(processor: Pentium): RegisterSource {
  return {
    floatingPoint: processor.floatingPoint.save(),
    read(name) {
      const index = GENERAL.indexOf(name);
      if (index >= 0) return processor.registers[index];
      const segment = SEGMENT_NUMBERS[name];
      if (segment !== undefined) return processor.segment(segment).selector;
      switch (name) {
        case "eip":
          return processor.eip;
        case "eflags":
          return processor.eflags;
        case "cr0":
          return processor.cr0;
        case "cr2":
          return processor.cr2;
        case "cr3":
          return processor.cr3;
        case "cr4":
          return processor.cr4;
        case "cs_base":
          return processor.segment(Segment.CS).base;
        case "ds_base":
          return processor.segment(Segment.DS).base;
        default:
          return 0;
      }
    },
  };
}

/** Puts a floating-point register into an FSAVE image; false when `name` is none. */
export function setFloatingRegister(image: Uint8Array, name: string, value: Uint8Array): boolean {
  if (/^st[0-7]$/.test(name)) {
    image.set(value.subarray(0, 10), FLOATING_REGISTERS + 10 * Number(name.slice(2)));
    return true;
  }
  const control = FLOATING_CONTROL[name];
  if (!control) return false;
  const [offset, shift, mask] = control;
  const words = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const given = new DataView(value.buffer, value.byteOffset, value.byteLength).getUint32(0, true);
  const placed = ((mask << shift) | 0) >>> 0;
  words.setUint32(offset, (words.getUint32(offset, true) & ~placed) | ((given & mask) << shift), true);
  return true;
}

/** Writes one register of the processor; false when it cannot hold that value. */
export function writeProcessorRegister(processor: Pentium, name: string, bytes: Uint8Array): boolean {
  const image = processor.floatingPoint.save();
  if (setFloatingRegister(image, name, bytes)) {
    processor.floatingPoint.restore(image);
    return true;
  }
  const value = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true);
  const index = GENERAL.indexOf(name);
  if (index >= 0) {
    processor.registers[index] = value;
    return true;
  }
  const segment = SEGMENT_NUMBERS[name];
  if (segment !== undefined) {
    try {
      processor.loadSegment(segment, value & 0xffff);
      return true;
    } catch (error) {
      if (error instanceof RangeError) return false;
      throw error;
    }
  }
  switch (name) {
    case "eip":
      processor.eip = value;
      return true;
    case "eflags":
      processor.eflags = value;
      return true;
    case "cr0":
      processor.cr0 = value;
      return true;
    case "cr2":
      processor.cr2 = value;
      return true;
    case "cr3":
      processor.cr3 = value;
      return true;
    case "cr4":
      processor.cr4 = value;
      return true;
    default:
      return false;
  }
}

/** Commands typed after GDB's `monitor`: what GDB itself has no words for. Each returns text that ends with a line feed. */
import { Segment } from "@rialto/machine/i386/layout.ts";
import { bytesOfHex, hexadecimal, hexOfBytes } from "./packets.ts";
import type { PentiumTarget } from "./pentium-target.ts";

interface MonitorCommand {
  readonly name: string;
  readonly usage: string;
  readonly run: (target: PentiumTarget, words: readonly string[]) => string;
}

const LONGEST_DUMP = 0x1000;
const word = (value: number) => hexadecimal(value, 8);

function table(rows: ReadonlyArray<readonly string[]>): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (row: readonly string[]) => row.map((cell, column) => cell.padEnd(widths[column])).join("  ");
  return rows.map((row) => `${line(row).trimEnd()}\n`).join("");
}

const segmentNames = ["ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"] as const;

function system({ pc: { processor } }: PentiumTarget): string {
  const registers = (["cr0", "cr2", "cr3", "cr4"] as const).map((name) => `${name} ${word(processor[name])}`);
  const tables = (["gdtr", "idtr"] as const).map(
    (name) => `${name} base ${word(processor[name].base)} limit ${hexadecimal(processor[name].limit, 4)}`,
  );
  const segments = segmentNames.map((name) => {
    const { selector, base, limit, usable } = processor.segment(Segment[name]);
    const place = usable ? `base ${word(base)} limit ${word(limit)}` : "null";
    return `${name.toLowerCase().padEnd(4)} ${hexadecimal(selector, 4)} ${place}`;
  });
  const debug = [0, 1, 2, 3, 6, 7].map((number) => `dr${number} ${word(processor.debugRegister(number))}`);
  return [
    registers.join("  "),
    ...tables,
    ...segments,
    debug.join("  "),
    `ring ${processor.cpl}, interrupts ${processor.interruptsEnabled ? "on" : "off"}`,
    "",
  ].join("\n");
}

function statistics({ pc }: PentiumTarget): string {
  const rows: string[][] = [];
  const add = (name: string, value: unknown): void => {
    if (typeof value === "number" || typeof value === "string") rows.push([name, String(value)]);
    else if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      for (const [field, inner] of Object.entries(value))
        add(name === "" ? field : `${name}.${field}`, inner);
    }
  };
  add("", { cycle: pc.cycle, ...pc.statistics() });
  return table(rows);
}

const NO_KERNEL = "these are known only of Rialto's kernel, with its symbols\n";

function processes({ guest: { kernel } }: PentiumTarget): string {
  if (!kernel) return NO_KERNEL;
  return table([
    ["id", "place", "threads", "state", "name"],
    ...kernel
      .processes()
      .map(({ id, ownSpace, threads, state, name }) => [
        String(id),
        ownSpace ? "process" : "kernel",
        String(threads),
        state,
        name,
      ]),
  ]);
}

function threads({ guest: { kernel } }: PentiumTarget): string {
  if (!kernel) return NO_KERNEL;
  const saved = (record: number, name: string) => word(kernel.savedRegister(record, name));
  return table([
    ["id", "record", "state", "priority", "eip", "esp", "cycles", "program"],
    ...kernel
      .threads()
      .map(({ id, record, state, priority, cycles, program }) => [
        String(id),
        word(record),
        state,
        String(priority),
        state === "running" ? "-" : saved(record, "eip"),
        state === "running" ? "-" : saved(record, "esp"),
        String(cycles),
        program,
      ]),
  ]);
}

function modules({ guest: { kernel } }: PentiumTarget): string {
  if (!kernel) return NO_KERNEL;
  return table([
    ["image", "space", "start", "size", "shift"],
    ...kernel
      .images()
      .map(({ name, space, start, size, shift }) => [
        name,
        space,
        word(start),
        hexadecimal(size),
        word(shift),
      ]),
  ]);
}

function epitaph({ guest: { kernel } }: PentiumTarget): string {
  if (!kernel) return NO_KERNEL;
  const left = kernel.epitaph();
  if (!left) return "the kernel has not panicked\n";
  const { message, thread, process, program, registers, faultAddress, stack } = left;
  const known = [...registers].map(([name, value]) => `${name} ${word(value)}`);
  return [
    `panic: ${message}`,
    `thread ${thread}, process ${process} (${program})`,
    registers.get("eip") === 0 ? "registers: not known" : known.join("  "),
    `last page fault at linear ${word(faultAddress)}`,
    `stack: ${stack.map(word).join(" ")}`,
    "console:",
    left.console,
  ].join("\n");
}

/** An address or a length as C writes it; undefined when it is none. */
function number(text: string | undefined): number | undefined {
  return text !== undefined && /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) >>> 0 : undefined;
}

function physical(target: PentiumTarget, [start, second, data]: readonly string[]): string {
  const address = number(start);
  if (address === undefined) return "usage: monitor phys ADDRESS [LENGTH], monitor phys ADDRESS = HEX\n";
  if (second === "=") {
    const bytes = bytesOfHex(data ?? "");
    if (!bytes?.length) return "usage: monitor phys ADDRESS = HEX, two digits a byte\n";
    if (!target.writePhysical(address, bytes)) return "that is not RAM\n";
    return `${bytes.length} bytes written at ${word(address)}\n`;
  }
  const bytes = target.guest.addresses.physicalBytes(address, Math.min(number(second) ?? 64, LONGEST_DUMP));
  if (bytes.length === 0) return "that is not RAM\n";
  let text = "";
  for (let offset = 0; offset < bytes.length; offset += 16) {
    const line = bytes.subarray(offset, offset + 16);
    const shown = [...line].map((byte) => hexOfBytes(Uint8Array.of(byte))).join(" ");
    const characters = String.fromCharCode(...line).replace(/[^\x20-\x7e]/g, ".");
    text += `${word(address + offset)}  ${shown.padEnd(47)}  ${characters}\n`;
  }
  return text;
}

function translate(target: PentiumTarget, [text]: readonly string[]): string {
  const address = number(text);
  if (address === undefined) return "usage: monitor translate ADDRESS\n";
  const space = target.space();
  const found = target.guest.addresses.resolve(space, address);
  const linear = word(address + space.base);
  return `virtual ${word(address)}, linear ${linear} by the data segment, physical ${found === undefined ? "none" : word(found)}\n`;
}

function deliveries(target: PentiumTarget, [mode]: readonly string[]): string {
  if (mode === "over" || mode === "into") target.deliveries = mode;
  else if (mode !== undefined) return "usage: monitor deliveries [over|into]\n";
  return `steps go ${target.deliveries} interrupts and faults that are delivered on the way\n`;
}

const COMMANDS: readonly MonitorCommand[] = [
  { name: "help", usage: "this list", run: () => help() },
  { name: "system", usage: "control registers, tables, segments with base and limit", run: system },
  { name: "stats", usage: "cycles, instructions, traps and TLB misses so far", run: statistics },
  { name: "ps", usage: "Rialto's processes", run: processes },
  { name: "threads", usage: "Rialto's threads with their records", run: threads },
  { name: "modules", usage: "loaded images and where they lie", run: modules },
  { name: "epitaph", usage: "what Rialto's kernel left behind when it panicked", run: epitaph },
  {
    name: "deliveries",
    usage: "[over|into]: where steps go that meet interrupts and faults",
    run: deliveries,
  },
  { name: "phys", usage: "ADDRESS [LENGTH]: physical memory; ADDRESS = HEX: write it", run: physical },
  { name: "translate", usage: "ADDRESS: virtual to linear and physical", run: translate },
];

function help(): string {
  return table(COMMANDS.map(({ name, usage }) => [`monitor ${name}`, usage]));
}

export function runMonitorCommand(target: PentiumTarget, line: string): string {
  const [name = "help", ...words] = line
    .trim()
    .split(/\s+/)
    .filter((part) => part !== "");
  const matches = COMMANDS.filter((command) => command.name.startsWith(name));
  const command =
    COMMANDS.find((candidate) => candidate.name === name) ?? (matches.length === 1 ? matches[0] : undefined);
  if (!command) return `no command '${name}'\n${help()}`;
  return command.run(target, words);
}

/**
 * Cases for every instruction of the table that ring 3 can run or is refused: each row in every operand size, register and memory
 * form, with prefixes that mean something and some that are refused. The number of the row seeds its cases, so that they
 * do not change when other rows do.
 */
import type { Instruction } from "../../i386/instruction.ts";
import { instructions } from "../../i386/table.ts";
import { CaseBuilder, type Form } from "./builder.ts";
import { type InstructionCase, slotAddress } from "./case.ts";
import { preparations } from "./preparations.ts";
import { Random } from "./random.ts";

/**
 * Not compared: results that are the machine's own (identification, time), that the host's kernel emulates or hides, and INT1,
 * whose saved EIP the makers of processors do not agree about.
 */
const machineSpecific = new Set(["cpuid", "rdtsc", "sgdt", "sidt", "sldt", "str", "smsw", "fwait", "int1"]);

export const isUserRow = (row: Instruction): boolean =>
  row.number !== 0 &&
  !machineSpecific.has(row.operation) &&
  !(row.opcode >= 0xd8 && row.opcode <= 0xdf && !row.twoByte);

/** Operand codes whose meaning follows the operand size. */
const sized = /^(Ev|Evw|Gv|Zv|rAX|Ov|Mp|Ma|Iz|Ibs|Jz|Jb|Ap|Xv|Yv)$/;
const sizedOperations = new Set([
  ...[
    "pusha",
    "popa",
    "pushf",
    "popf",
    "iret",
    "retNear",
    "retFar",
    "enter",
    "leave",
    "pushSegment",
    "popSegment",
    "cwde",
    "cdq",
  ],
]);

function forms(row: Instruction): (Form & { readonly repetitions: number })[] {
  const list: (Form & { readonly repetitions: number })[] = [];
  const plain = { operandSize16: false, addressSize16: false, memory: false, prefixes: [] };
  const sizes =
    row.operands.some((code) => sized.test(code)) || sizedOperations.has(row.operation)
      ? [false, true]
      : [false];
  const string = row.repeat !== "none";
  const moffs = row.operands.some((code) => code === "Ob" || code === "Ov");
  for (const operandSize16 of sizes) {
    const form = { ...plain, operandSize16 };
    if (row.registerForm && row.modrm) list.push({ ...form, repetitions: 7 });
    if (row.memoryForm || moffs) {
      list.push({ ...form, memory: true, repetitions: 9 });
      list.push({ ...form, memory: true, addressSize16: true, repetitions: 1 });
    }
    if (!row.modrm && !moffs) list.push({ ...form, repetitions: row.opcodeRegister || string ? 10 : 7 });
    if (string) {
      list.push({ ...form, prefixes: [0xf3], repetitions: 10 });
      list.push({ ...form, prefixes: [0xf2], repetitions: row.repeat === "compare" ? 10 : 2 });
      // 16-bit addresses fault; which of two operands faults first is not defined.
      if (row.operation !== "cmps" && row.operation !== "movs") {
        list.push({ ...form, addressSize16: true, prefixes: [0xf3], repetitions: 1 });
      }
    }
  }
  if (/^(loop|jcxz)/.test(row.operation)) list.push({ ...plain, addressSize16: true, repetitions: 4 });
  const memory = { ...plain, memory: row.memoryForm || moffs };
  if (memory.memory || string) {
    // ES, CS, SS, DS; FS and GS hold null selectors.
    for (const override of [0x26, 0x2e, 0x36, 0x3e, 0x64])
      list.push({ ...memory, prefixes: [override], repetitions: 1 });
  }
  if (row.lockable) list.push({ ...memory, memory: true, prefixes: [0xf0], repetitions: 3 });
  // LOCK where it is undefined. (Later processors of one maker read LOCK MOV CR0 as CR8.)
  if (!/Control$/.test(row.operation))
    list.push({ ...plain, memory: !row.registerForm && row.modrm, prefixes: [0xf0], repetitions: 1 });
  return list;
}

/** `wanted` leaves cases out: their neighbours do not change, but for the addresses of their slots. `seed` makes other cases. */
export function generateCases(
  wanted: (row: Instruction, form: Form) => boolean = () => true,
  seed = 0,
): InstructionCase[] {
  const cases: InstructionCase[] = [];
  for (const row of instructions) {
    if (!isUserRow(row)) continue;
    const random = new Random(row.number + seed * instructions.length);
    for (const form of forms(row)) {
      for (let i = 0; i < form.repetitions && wanted(row, form); i++) {
        const slot = slotAddress(cases.length);
        const builder = new CaseBuilder(row, form, random);
        preparations[row.operation]?.(builder, slot);
        cases.push(builder.finish(slot));
      }
    }
  }
  return cases;
}

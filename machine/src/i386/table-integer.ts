/**
 * Integer arithmetic, logic, shifts, bit instructions and data movement. Notation: `table-notation.ts`.
 * Clocks and pairing: Intel, Pentium Processor Family Developer's Manual, volume 3 (241430), chapter 25 and appendix F,
 * for hits in the caches and aligned data; ranges that depend on data are given at their usual value and said so.
 */
import { conditions } from "./instruction.ts";
import type { RowNotation } from "./table-notation.ts";

const ARITHMETIC = "w:OSZAPC";
const WITH_CARRY = "r:C w:OSZAPC";
const LOGIC = "w:OSZPC u:A";

/** The eight operations of opcodes 00-3F and of group 1, in opcode order. */
const arithmetic = [
  ["add", ARITHMETIC, "UV"],
  ["or", LOGIC, "UV"],
  ["adc", WITH_CARRY, "PU"],
  ["sbb", WITH_CARRY, "PU"],
  ["and", LOGIC, "UV"],
  ["sub", ARITHMETIC, "UV"],
  ["xor", LOGIC, "UV"],
  ["cmp", ARITHMETIC, "UV"],
] as const;

type ArithmeticMnemonic = (typeof arithmetic)[number][0];
type ArithmeticRow = readonly [string, ArithmeticMnemonic, string, string, string, string];

const hex = (value: number): string => value.toString(16).toUpperCase().padStart(2, "0");

function arithmeticRows(): ArithmeticRow[] {
  return arithmetic.flatMap(([mnemonic, flags, pairing], digit): ArithmeticRow[] => {
    const opcode = digit * 8;
    const compares = mnemonic === "cmp";
    const store = `1/${compares ? 2 : 3} ${pairing}`;
    const traits = compares ? "read" : "readwrite lock";
    return [
      [hex(opcode), mnemonic, "Eb,Gb", flags, store, traits],
      [hex(opcode + 1), mnemonic, "Ev,Gv", flags, store, traits],
      [hex(opcode + 2), mnemonic, "Gb,Eb", flags, `1/2 ${pairing}`, "read"],
      [hex(opcode + 3), mnemonic, "Gv,Ev", flags, `1/2 ${pairing}`, "read"],
      [hex(opcode + 4), mnemonic, "AL,Ib", flags, `1 ${pairing}`, ""],
      [hex(opcode + 5), mnemonic, "rAX,Iz", flags, `1 ${pairing}`, ""],
      [`80 /${digit}`, mnemonic, "Eb,Ib", flags, store, traits],
      [`81 /${digit}`, mnemonic, "Ev,Iz", flags, store, traits],
      [`82 /${digit}`, mnemonic, "Eb,Ib", flags, store, `${traits} alias`],
      [`83 /${digit}`, mnemonic, "Ev,Ibs", flags, store, traits],
    ];
  });
}

/** Group 2 in the order of ModR/M's reg field; /6 is an undocumented second SHL. */
const shifts = [
  ["rol", "w:OC"],
  ["ror", "w:OC"],
  ["rcl", "r:C w:OC"],
  ["rcr", "r:C w:OC"],
  ["shl", LOGIC],
  ["shr", LOGIC],
  ["shl", LOGIC],
  ["sar", LOGIC],
] as const;

type ShiftRow = readonly [string, (typeof shifts)[number][0], string, string, string, string];

function shiftRows(): ShiftRow[] {
  return shifts.flatMap(([mnemonic, flags], digit): ShiftRow[] => {
    const rotate = digit < 4;
    const throughCarry = digit === 2 || digit === 3;
    const byImmediate = throughCarry ? "8/10" : rotate ? "1/3" : "1/3 PU";
    const byCl = throughCarry ? "7/9" : "4/5";
    const traits = digit === 6 ? "readwrite alias" : "readwrite";
    return [
      [`C0 /${digit}`, mnemonic, "Eb,Ib", flags, byImmediate, traits],
      [`C1 /${digit}`, mnemonic, "Ev,Ib", flags, byImmediate, traits],
      [`D0 /${digit}`, mnemonic, "Eb,1", flags, "1/3 PU", traits],
      [`D1 /${digit}`, mnemonic, "Ev,1", flags, "1/3 PU", traits],
      [`D2 /${digit}`, mnemonic, "Eb,CL", flags, byCl, traits],
      [`D3 /${digit}`, mnemonic, "Ev,CL", flags, byCl, traits],
    ];
  });
}

const setConditions = conditions.map(
  (condition, code) =>
    [
      `0F ${hex(0x90 + code)}`,
      `set${condition}`,
      "Eb",
      "r:OSZPC",
      "1/2",
      "write",
      { operation: "setcc" },
    ] as const,
);

const explicitRows = [
  // Increment, decrement, one-operand arithmetic.
  ["40+", "inc", "Zv", "w:OSZAP", "1 UV", ""],
  ["48+", "dec", "Zv", "w:OSZAP", "1 UV", ""],
  ["FE /0", "inc", "Eb", "w:OSZAP", "1/3 UV", "readwrite lock"],
  ["FE /1", "dec", "Eb", "w:OSZAP", "1/3 UV", "readwrite lock"],
  ["FF /0", "inc", "Ev", "w:OSZAP", "1/3 UV", "readwrite lock"],
  ["FF /1", "dec", "Ev", "w:OSZAP", "1/3 UV", "readwrite lock"],
  ["84", "test", "Eb,Gb", LOGIC, "1/2 UV", "read"],
  ["85", "test", "Ev,Gv", LOGIC, "1/2 UV", "read"],
  ["A8", "test", "AL,Ib", LOGIC, "1 UV", ""],
  ["A9", "test", "rAX,Iz", LOGIC, "1 UV", ""],
  ["F6 /0", "test", "Eb,Ib", LOGIC, "1/2", "read"],
  ["F7 /0", "test", "Ev,Iz", LOGIC, "1/2", "read"],
  ["F6 /1", "test", "Eb,Ib", LOGIC, "1/2", "read alias"],
  ["F7 /1", "test", "Ev,Iz", LOGIC, "1/2", "read alias"],
  ["F6 /2", "not", "Eb", "", "1/3", "readwrite lock"],
  ["F7 /2", "not", "Ev", "", "1/3", "readwrite lock"],
  ["F6 /3", "neg", "Eb", ARITHMETIC, "1/3", "readwrite lock"],
  ["F7 /3", "neg", "Ev", ARITHMETIC, "1/3", "readwrite lock"],
  ["F6 /4", "mul", "Eb", "w:OC u:SZAP", "11", "read"],
  ["F7 /4", "mul", "Ev", "w:OC u:SZAP", "10", "read"],
  ["F6 /5", "imul", "Eb", "w:OC u:SZAP", "11", "read", { operation: "imulWide" }],
  ["F7 /5", "imul", "Ev", "w:OC u:SZAP", "10", "read", { operation: "imulWide" }],
  ["0F AF", "imul", "Gv,Ev", "w:OC u:SZAP", "10", "read", { operation: "imulTruncated" }],
  ["69", "imul", "Gv,Ev,Iz", "w:OC u:SZAP", "10", "read", { operation: "imulTruncated" }],
  ["6B", "imul", "Gv,Ev,Ibs", "w:OC u:SZAP", "10", "read", { operation: "imulTruncated" }],
  // 17, 25, 41 (DIV) and 22, 30, 46 (IDIV) clocks for 1, 2, 4 bytes; the operand-size form is given for 4.
  ["F6 /6", "div", "Eb", "u:OSZAPC", "17", "read"],
  ["F7 /6", "div", "Ev", "u:OSZAPC", "41", "read"],
  ["F6 /7", "idiv", "Eb", "u:OSZAPC", "22", "read"],
  ["F7 /7", "idiv", "Ev", "u:OSZAPC", "46", "read"],
  // Decimal adjustment.
  ["27", "daa", "", "r:AC w:SZAPC u:O", "3", ""],
  ["2F", "das", "", "r:AC w:SZAPC u:O", "3", ""],
  ["37", "aaa", "", "r:A w:AC u:OSZP", "3", ""],
  ["3F", "aas", "", "r:A w:AC u:OSZP", "3", ""],
  ["D4", "aam", "Ib", "w:SZP u:OAC", "18", ""],
  ["D5", "aad", "Ib", "w:SZP u:OAC", "10", ""],
  ["D6", "salc", "", "r:C", "1", ""],
  // Sign extension.
  ["98", "cwde", "", "", "3", "", { narrow: "cbw" }],
  ["99", "cdq", "", "", "2", "", { narrow: "cwd" }],
  // Double shifts and bit instructions. Bit offsets in a register reach beyond the memory operand: 9 and 13 clocks there.
  ["0F A4", "shld", "Ev,Gv,Ib", LOGIC, "4", "readwrite"],
  ["0F A5", "shld", "Ev,Gv,CL", LOGIC, "4/5", "readwrite"],
  ["0F AC", "shrd", "Ev,Gv,Ib", LOGIC, "4", "readwrite"],
  ["0F AD", "shrd", "Ev,Gv,CL", LOGIC, "4/5", "readwrite"],
  ["0F A3", "bt", "Ev,Gv", "w:C u:OSZAP", "4/9", "read"],
  ["0F AB", "bts", "Ev,Gv", "w:C u:OSZAP", "7/13", "readwrite lock"],
  ["0F B3", "btr", "Ev,Gv", "w:C u:OSZAP", "7/13", "readwrite lock"],
  ["0F BB", "btc", "Ev,Gv", "w:C u:OSZAP", "7/13", "readwrite lock"],
  ["0F BA /4", "bt", "Ev,Ib", "w:C u:OSZAP", "4", "read"],
  ["0F BA /5", "bts", "Ev,Ib", "w:C u:OSZAP", "7/8", "readwrite lock"],
  ["0F BA /6", "btr", "Ev,Ib", "w:C u:OSZAP", "7/8", "readwrite lock"],
  ["0F BA /7", "btc", "Ev,Ib", "w:C u:OSZAP", "7/8", "readwrite lock"],
  // 6 to 43 (BSF) and 7 to 72 (BSR) clocks, by the position of the bit; the least is given.
  ["0F BC", "bsf", "Gv,Ev", "w:Z u:OSAPC", "6", "read"],
  ["0F BD", "bsr", "Gv,Ev", "w:Z u:OSAPC", "7", "read"],
  // Exchanges.
  ["86", "xchg", "Eb,Gb", "", "3", "readwrite lock"],
  ["87", "xchg", "Ev,Gv", "", "3", "readwrite lock"],
  ["90+", "xchg", "Zv,rAX", "", "2", ""],
  ["0F C8+", "bswap", "Zv", "", "1", ""],
  ["0F C0", "xadd", "Eb,Gb", ARITHMETIC, "3/4", "readwrite lock"],
  ["0F C1", "xadd", "Ev,Gv", ARITHMETIC, "3/4", "readwrite lock"],
  ["0F B0", "cmpxchg", "Eb,Gb", ARITHMETIC, "5/6", "readwrite lock"],
  ["0F B1", "cmpxchg", "Ev,Gv", ARITHMETIC, "5/6", "readwrite lock"],
  ["0F C7 /1", "cmpxchg8b", "Mq", "w:Z", "10", "readwrite lock"],
  // Moves.
  ["88", "mov", "Eb,Gb", "", "1 UV", "write"],
  ["89", "mov", "Ev,Gv", "", "1 UV", "write"],
  ["8A", "mov", "Gb,Eb", "", "1 UV", "read"],
  ["8B", "mov", "Gv,Ev", "", "1 UV", "read"],
  ["A0", "mov", "AL,Ob", "", "1 UV", "read"],
  ["A1", "mov", "rAX,Ov", "", "1 UV", "read"],
  ["A2", "mov", "Ob,AL", "", "1 UV", "write"],
  ["A3", "mov", "Ov,rAX", "", "1 UV", "write"],
  ["B0+", "mov", "Zb,Ib", "", "1 UV", ""],
  ["B8+", "mov", "Zv,Iz", "", "1 UV", ""],
  ["C6 /0", "mov", "Eb,Ib", "", "1 UV", "write"],
  ["C7 /0", "mov", "Ev,Iz", "", "1 UV", "write"],
  ["0F B6", "movzx", "Gv,Eb", "", "3", "read"],
  ["0F B7", "movzx", "Gv,Ew", "", "3", "read"],
  ["0F BE", "movsx", "Gv,Eb", "", "3", "read"],
  ["0F BF", "movsx", "Gv,Ew", "", "3", "read"],
  ["8D", "lea", "Gv,M", "", "1 UV", "address"],
  ["D7", "xlatb", "", "", "4", "read"],
  ["90", "nop", "", "", "1 UV", ""],
] as const satisfies readonly RowNotation[];

export const integerRows = [...arithmeticRows(), ...shiftRows(), ...setConditions, ...explicitRows];

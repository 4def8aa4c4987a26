/**
 * The table's clocks and pairing against measurements on real Pentiums: Agner Fog, "How to optimize for the Pentium family of
 * microprocessors", list of instruction timings for P1 and PMMX. The table follows Intel's manual, so where his figure differs from
 * Intel's it is left out here (MUL of 32 bits: he measured 9, Intel says 10).
 */

import { expect, it } from "vitest";
import { instructions } from "./table.ts";

/** Mnemonic, operands, clocks of the register form, of the memory form, pairing. Undefined: there is no such form, or no figure. */
const measured: [string, string, number | undefined, number | undefined, string][] = [
  ["nop", "", 1, undefined, "UV"],
  ["mov", "Ev,Gv", 1, 1, "UV"],
  ["mov", "Gv,Ev", 1, 1, "UV"],
  ["mov", "Ev,Iz", 1, 1, "UV"],
  ["mov", "rAX,Ov", 1, undefined, "UV"],
  ["mov", "Evw,Sw", 1, 1, "NP"],
  ["xchg", "Zv,rAX", 2, undefined, "NP"],
  ["xchg", "Ev,Gv", 3, undefined, "NP"],
  ["push", "Zv", 1, undefined, "UV"],
  ["push", "Iz", 1, undefined, "UV"],
  ["pop", "Zv", 1, undefined, "UV"],
  ["push", "Ev", undefined, 2, "NP"],
  ["pop", "Ev", undefined, 3, "NP"],
  ["push", "DS", 1, undefined, "NP"],
  ["pop", "DS", 3, undefined, "NP"],
  ["pushad", "", 5, undefined, "NP"],
  ["popad", "", 5, undefined, "NP"],
  ["lahf", "", 2, undefined, "NP"],
  ["sahf", "", 2, undefined, "NP"],
  ["movsx", "Gv,Eb", 3, 3, "NP"],
  ["movzx", "Gv,Ew", 3, 3, "NP"],
  ["lea", "Gv,M", undefined, 1, "UV"],
  ["les", "Gv,Mp", undefined, 4, "NP"],
  ...["add", "or", "and", "sub", "xor"].flatMap((name): typeof measured => [
    [name, "Ev,Gv", 1, 3, "UV"],
    [name, "Gv,Ev", 1, 2, "UV"],
    [name, "Ev,Ibs", 1, 3, "UV"],
  ]),
  ...["adc", "sbb"].flatMap((name): typeof measured => [
    [name, "Ev,Gv", 1, 3, "PU"],
    [name, "Gv,Ev", 1, 2, "PU"],
  ]),
  ["cmp", "Ev,Gv", 1, 2, "UV"],
  ["test", "Ev,Gv", 1, 2, "UV"],
  ["test", "Ev,Iz", 1, 2, "NP"],
  ["inc", "Ev", 1, 3, "UV"],
  ["dec", "Ev", 1, 3, "UV"],
  ["neg", "Ev", 1, 3, "NP"],
  ["not", "Ev", 1, 3, "NP"],
  ["mul", "Eb", 11, 11, "NP"],
  ["div", "Eb", 17, 17, "NP"],
  ["div", "Ev", 41, 41, "NP"],
  ["idiv", "Eb", 22, 22, "NP"],
  ["idiv", "Ev", 46, 46, "NP"],
  ["cwde", "", 3, undefined, "NP"],
  ["cdq", "", 2, undefined, "NP"],
];

it.each(measured)("%s %s", (mnemonic, operands, register, memory, pairing) => {
  const row = instructions.find((each) => each.mnemonic === mnemonic && each.operands.join() === operands);
  expect(row).toBeDefined();
  const clocks = { register: row?.clocks.register, memory: row?.clocks.memory, pairing: row?.pairing };
  expect(clocks).toEqual({
    register: register ?? clocks.register,
    memory: memory ?? clocks.memory,
    pairing,
  });
});

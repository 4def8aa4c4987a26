/**
 * Machine code that no compiler would make, from the bytes in the argument: data pages can be executed. Whoever comes back has done no harm
 * to himself, so the result is 0.
 */

import { E_INVALIDARG } from "../../interfaces/results";
import { systemObject } from "../../lib/rt/program";

const ROOM: u32 = 64;
const code: usize = memory.data(64, 16);
/** Holds the code's address: a call of a constant would be a call of a function. */
const entry: usize = memory.data(4, 16);
const RETURN: u8 = 0xc3;
const POP_EBX_RETURN: u32 = 0xc35b;

/** Calls the code that `text` spells in hexadecimal digits, with this space's ISystem as its argument. */
export function execute(text: usize): i32 {
  let length: u32 = 0;
  for (let at = text; load<u8>(at) !== 0; at += 2) {
    const high = digit(load<u8>(at));
    const low = digit(load<u8>(at, 1));
    if (high > 15 || low > 15 || length === ROOM - 1) return E_INVALIDARG;
    store<u8>(code + length++, <u8>(high * 16 + low));
  }
  store<u8>(code + length, RETURN);
  runCode();
  return 0;
}

function runCode(): void {
  volatileStore32(entry, <u32>code);
  call_indirect<u32>(volatileLoad32(entry), changetype<usize>(systemObject()));
}

function digit(character: u32): u32 {
  if (character >= 48 && character <= 57) return character - 48;
  return character >= 97 && character <= 102 ? character - 87 : 16;
}

/** System calls of memory-copying methods with the direction flag set: 0 if the answers are right. */
export function callBackwards(): i32 {
  const before = stackAlloc(128);
  const after = stackAlloc(128);
  systemObject().option(text("quiet"), before, 128);
  store<u16>(code, 0xc3fd);
  runCode();
  const result = systemObject().option(text("quiet"), after, 128);
  const found = systemObject().bind(text("files"), 0x12345678, after + 64);
  store<u16>(code, 0xc3fc);
  runCode();
  if (result !== 0 || found >= 0) return 1;
  return load<u16>(before) === load<u16>(after) ? 0 : 2;
}

/** `int 0x31` with every operation but the ends of this thread, and operands that are no words of this program. */
export function privateTraps(): i32 {
  const exit: u32 = 3;
  const sleep: u32 = 4;
  // These make the write fault that their word would make, which ends the program.
  const lock: u32 = 6;
  const unlock: u32 = 7;
  const operands = memory.data<u32>([
    0, 3, 0x20000000, 0x3f001000, 0x41800000, 0x7ffffffe, 0x90000000, 0xffffffff,
  ]);
  for (let operation: u32 = 0; operation < 0x120; operation++) {
    if (operation === exit || operation === sleep || operation === lock || operation === unlock) continue;
    for (let index: u32 = 0; index < 8; index++) privateTrap(operation, load<u32>(operands + index * 4));
  }
  for (let index: u32 = 2; index < 8; index++) privateTrap(unlock, load<u32>(operands + index * 4));
  return 0;
}

/** push ebx; mov eax, operation; mov ecx, operand; mov edx, operand; mov ebx, 1; int 0x31; pop ebx; ret */
function privateTrap(operation: u32, operand: u32): void {
  store<u8>(code, 0x53);
  store<u8>(code, 0xb8, 1);
  store<u32>(code, operation, 2);
  store<u8>(code, 0xb9, 6);
  store<u32>(code, operand, 7);
  store<u8>(code, 0xba, 11);
  store<u32>(code, operand, 12);
  store<u8>(code, 0xbb, 16);
  store<u32>(code, 1, 17);
  store<u16>(code, 0x31cd, 21);
  store<u32>(code, POP_EBX_RETURN, 23);
  runCode();
}

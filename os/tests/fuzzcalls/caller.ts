/**
 * A thread that makes random calls. It survives the faults of its calls. What a call gives out is called in its turn, or passed on, until
 * something else takes its place.
 */

import { FAULT_DECLINE, FAULT_RESUME, type FaultFrame, IFaults } from "../../interfaces/IFaults";
import { attempt, handleFaults, unwindTo } from "../../lib/rt/faults";
import { currentThread, exitThread } from "../../lib/rt/wait";
import { fillArguments, givenOut, random } from "./arguments";
import {
  adopt,
  chooseObject,
  isBrief,
  isLeftOut,
  MOST_CALLERS,
  objectInterface,
  objectPointer,
} from "./objects";
import {
  argumentCountOf,
  argumentOf,
  iidOf,
  KIND_INTERFACE_OUT,
  KIND_INTERFACE_OUT_BY_ID,
  kindOf,
  methodCountOf,
  methodOf,
  otherWordOf,
  outInterfaceOf,
  wordOf,
} from "./table";

@unmanaged
export class Caller {
  thread: u32 = 0;
  number: u32 = 0;
  /** Number of the method that is called. */
  index: u32 = 0;
  /** Is a call under way, so that `context` is good? */
  calls: u32 = 0;
  /** CONTEXT_SIZE bytes, and the argument words. */
  context: usize = 0;
  words: usize = 0;
}

const callers: usize = memory.data(64, 16);
const rooms: usize = memory.data(128, 16);
let count: u32 = 0;

/** Makes the calling thread a caller. */
export function becomeCaller(): Caller {
  const caller = changetype<Caller>(callers + count * offsetof<Caller>());
  caller.thread = currentThread();
  caller.number = count;
  caller.context = rooms + count * 64;
  caller.words = caller.context + 32;
  count = min<u32>(count + 1, MOST_CALLERS);
  return caller;
}

/**
 * A fault of a caller is one of its call's; other threads run what calls made them run, and end. When a thread cannot even do that, calls
 * have written over this program's own data, and it ends whole.
 */
export function onFault(address: usize): u32 {
  const frame = changetype<FaultFrame>(address);
  for (let index: u32 = 0; index < count; index++) {
    const caller = changetype<Caller>(callers + index * offsetof<Caller>());
    if (caller.thread !== currentThread()) continue;
    if (caller.calls === 0) return FAULT_DECLINE;
    unwindTo(frame, caller.context, 0xffffffff);
    return FAULT_RESUME;
  }
  if (frame.ebx === ENDING) return FAULT_DECLINE;
  frame.ebx = ENDING;
  frame.eip = <u32>functionAddress(endThread);
  return FAULT_RESUME;
}

/** EBX of a thread in `endThread`; data could be lost. */
const ENDING: u32 = 0xe0d10f0d;

function endThread(): void {
  exitThread(0);
}

/** Makes the call whose words are ready. */
function makeCall(address: usize): u32 {
  const caller = changetype<Caller>(address);
  const words = caller.words;
  const object = load<usize>(words);
  const code = load<u32>(load<usize>(object) + caller.index * 4);
  return call_indirect<u32>(
    code,
    object,
    load<u32>(words, 4),
    load<u32>(words, 8),
    load<u32>(words, 12),
    load<u32>(words, 16),
    load<u32>(words, 20),
    load<u32>(words, 24),
    load<u32>(words, 28),
  );
}

/** One call; false if the choice fell on a method that is left out. */
export function callOnce(caller: Caller): bool {
  const object = chooseObject(caller.number, random());
  if (objectPointer(object) === 0) return false;
  const entry = objectInterface(object);
  // One past the last, sometimes: there is no such method.
  const index = (random() >> 3) % (methodCountOf(entry) + (random() % 16 === 0 ? 1 : 0));
  if (isLeftOut(object, index)) return false;
  const method = methodOf(entry, index < methodCountOf(entry) ? index : 0);
  store<usize>(caller.words, objectPointer(object));
  fillArguments(caller.number, caller.words, method, isBrief(object, index));
  caller.index = index;
  caller.calls = 1;
  const result = attempt(caller.context, functionAddress(makeCall), changetype<usize>(caller));
  caller.calls = 0;
  if (iidOf(entry) === IFaults.IID) handleFaults(functionAddress(onFault));
  if (<i32>result >= 0) adoptResults(caller, method);
  return true;
}

function adoptResults(caller: Caller, method: usize): void {
  const words = caller.words;
  for (let index: u32 = 0; index < argumentCountOf(method); index++) {
    const argument = argumentOf(method, index);
    const kind = kindOf(argument);
    if (kind < KIND_INTERFACE_OUT) continue;
    const iid =
      kind === KIND_INTERFACE_OUT_BY_ID
        ? load<u32>(words + otherWordOf(argument) * 4)
        : outInterfaceOf(argument);
    const pointer = givenOut(caller.number, load<u32>(words + wordOf(argument) * 4));
    if (pointer !== 0) adopt(caller.number, pointer, iid, random());
  }
}

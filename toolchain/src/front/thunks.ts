/**
 * A vtable's entry for a method of the first interface needs no adjustment of `this`: its thunk only hands its arguments on.
 * Here each table entry that does so is replaced by the method itself, which saves a call and keeps the method's own name
 * in stack traces. The thunks of further interfaces stay.
 */

import {
  binaryen,
  callId,
  callOperand,
  callOperandCount,
  callTarget,
  type Expression,
  functionAt,
  functionBody,
  functionCount,
  functionNamePointer,
  idOf,
  localGetId,
  localGetIndex,
  returnId,
  returnValue,
  type WrappedModule,
} from "./binaryen.ts";

export function dropForwardingThunks(module: WrappedModule): void {
  const functions = new Map<number, number>();
  for (let i = 0, n = functionCount(module.ptr); i < n; i++) {
    const func = functionAt(module.ptr, i);
    functions.set(functionNamePointer(func), func);
  }
  const forwards = new Map<string, string>();
  for (const func of functions.values()) {
    const target = forwardedTo(func);
    const method = target === undefined ? undefined : functions.get(target);
    if (method === undefined || functionBody(method) === 0) continue;
    const from = binaryen.getFunctionInfo(func);
    const to = binaryen.getFunctionInfo(method);
    if (from.params === to.params && from.results === to.results) forwards.set(from.name, to.name);
  }
  for (let i = 0; i < module.getNumElementSegments(); i++) {
    const { name, table, data, offset } = binaryen.getElementSegmentInfo(module.getElementSegmentByIndex(i));
    if (!data.some((entry) => forwards.has(entry))) continue;
    module.removeElementSegment(name);
    const entries = data.map((entry) => forwards.get(entry) ?? entry);
    module.addActiveElementSegment(table, name, entries, offset);
  }
}

/** Pointer to the name of the function that `func` hands exactly its own arguments to and returns the result of. */
function forwardedTo(func: number): number | undefined {
  let body: Expression = functionBody(func);
  if (body === 0) return undefined;
  if (idOf(body) === returnId) body = returnValue(body);
  if (body === 0 || idOf(body) !== callId) return undefined;
  const count = callOperandCount(body);
  for (let i = 0; i < count; i++) {
    const operand = callOperand(body, i);
    if (idOf(operand) !== localGetId || localGetIndex(operand) !== i) return undefined;
  }
  return callTarget(body);
}

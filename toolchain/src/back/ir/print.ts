/** Text of a routine, for tests and for people. */
import type { Instruction, Routine, Terminator } from "./instructions.ts";

function name(i: Instruction): string {
  return `%${i.id}`;
}

export function printInstruction(i: Instruction): string {
  const parts: string[] = [i.operation];
  if (i.operation === "constant") parts.push(Object.is(i.constant, -0) ? "-0" : String(i.constant));
  parts.push(...i.operands.map(name));
  if (i.operation === "load" || i.operation === "store") parts.push(`width=${i.width}${i.signed ? "s" : ""}`);
  if (i.symbol !== undefined) parts.push(`"${i.symbol}"`);
  if (i.offset !== 0) parts.push(`+${i.offset}`);
  return i.type === "void" ? parts.join(" ") : `${name(i)}: ${i.type} = ${parts.join(" ")}`;
}

function printTerminator(t: Terminator): string {
  switch (t.kind) {
    case "jump":
      return `jump b${t.target.id}`;
    case "branch":
      return `branch ${name(t.condition)} b${t.taken.id} b${t.otherwise.id}`;
    case "switch":
      return `switch ${name(t.index)} [${t.targets.map((b) => `b${b.id}`).join(" ")}] b${t.fallback.id}`;
    case "return":
      return `return ${t.values.map(name).join(" ")}`.trimEnd();
    default:
      return "unreachable";
  }
}

export function printRoutine(routine: Routine): string {
  const lines = [`routine "${routine.name}" (${routine.parameters.join(" ")}) ${routine.result}`];
  for (const block of routine.blocks) {
    const from = block.predecessors.map((p) => `b${p.id}`).join(" ");
    lines.push(
      `b${block.id}:${from ? ` from ${from}` : ""}${block.loopDepth ? ` loop ${block.loopDepth}` : ""}`,
    );
    for (const i of block.phis) lines.push(`  ${printInstruction(i)}`);
    for (const i of block.instructions) lines.push(`  ${printInstruction(i)}`);
    lines.push(`  ${printTerminator(block.terminator)}`);
  }
  return `${lines.join("\n")}\n`;
}

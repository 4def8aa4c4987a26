/** The assembler's one error: what was asked for, in Intel syntax, and why it has no encoding. */

import { type Form, findBranch, findForms, mnemonics } from "./assembler-forms.ts";
import type { Operand } from "./assembly.ts";

const sizeNames: Readonly<Record<number, string>> = {
  ...{ 0: "", 1: "byte ", 2: "word ", 4: "dword ", 6: "fword ", 8: "qword ", 10: "tbyte " },
};

/** An operand as it would be written. */
export function operandText(operand: Operand): string {
  if (typeof operand === "number") return String(operand);
  switch (operand.kind) {
    case "register":
      return operand.name;
    case "symbol":
      return operand.addend === 0 ? operand.symbol : `${operand.symbol}${signed(operand.addend)}`;
    case "label":
      return `label ${operand.id}`;
    case "far":
      return `${operand.selector}:${operandText(operand.offset)}`;
    case "memory": {
      const parts: string[] = [];
      if (operand.base) parts.push(operand.base.name);
      if (operand.index) parts.push(`${operand.index.name}*${operand.scale ?? 1}`);
      let text = parts.join("+");
      const displacement = operand.displacement ?? 0;
      if (typeof displacement !== "number") text += `${text && "+"}${operandText(displacement)}`;
      else if (displacement !== 0 || text === "") text += text ? signed(displacement) : String(displacement);
      return `${sizeNames[operand.size]}${operand.segment ? `${operand.segment.name}:` : ""}[${text}]`;
    }
  }
}

const signed = (value: number): string => (value < 0 ? String(value) : `+${value}`);

export class AssemblyError extends Error {
  readonly mnemonic: string;
  readonly operands: readonly Operand[];
  constructor(mnemonic: string, operands: readonly Operand[], reason: string) {
    const asked = `${mnemonic} ${operands.map(operandText).join(", ")}`.trim();
    super(`${asked}: ${reason}`);
    this.name = "AssemblyError";
    this.mnemonic = mnemonic;
    this.operands = operands;
  }
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(change, previous[j]! + 1, current[j - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}

function formText(form: Form): string {
  return `${form.mnemonic} ${form.operands.map((operand) => operand.code).join(",")}`.trim();
}

/** The error for a mnemonic and operands that no form takes. */
export function noFormError(mnemonic: string, operands: readonly Operand[]): AssemblyError {
  const forms = findForms(mnemonic);
  if (!forms && !findBranch(mnemonic)) {
    let nearest = mnemonics[0]!;
    for (const name of mnemonics) {
      if (editDistance(mnemonic, name) < editDistance(mnemonic, nearest)) nearest = name;
    }
    return new AssemblyError(mnemonic, operands, `there is no such instruction; did you mean "${nearest}"?`);
  }
  if (!forms) return new AssemblyError(mnemonic, operands, "it takes a label or a symbol");
  const sizes = operands.map((operand) => {
    if (typeof operand === "number" || operand.kind === "symbol" || operand.kind === "label") return 0;
    if (operand.kind === "memory") return operand.size;
    if (operand.kind === "register") return { r8: 1, r16: 2, r32: 4 }[operand.class as string] ?? 0;
    return 0;
  });
  const stated = new Set(sizes.filter((size) => size !== 0));
  const possible = [...new Set([...forms.values()].flat().map(formText))];
  const why = stated.size > 1 ? "operand sizes differ, or " : "";
  return new AssemblyError(
    mnemonic,
    operands,
    `${why}no form takes these operands; there are ${possible.slice(0, 12).join("; ")}${possible.length > 12 ? "; …" : ""}`,
  );
}

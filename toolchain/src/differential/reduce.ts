/**
 * Smaller variants of a function that differs, tried before fast-check's own shrinker: whole statements and blocks go
 * first, then blocks lose what is around them, then typed subexpressions become constants. Works on the shapes that `generate.ts` writes: one statement a line,
 * blocks closed by a line that starts with "}", every cast written as "(<type>…)".
 */
import type { GeneratedFunction } from "./generate.ts";

/** Index of the line that closes the block opened on line `start`, or `start` for a plain statement. */
function statementEnd(lines: readonly string[], start: number): number {
  let depth = 0;
  for (let line = start; line < lines.length; line++) {
    for (const character of lines[line]!) depth += character === "{" ? 1 : character === "}" ? -1 : 0;
    if (depth <= 0) return line;
  }
  return lines.length - 1;
}

function withoutStatements(body: string): string[] {
  const lines = body.split("\n");
  const variants: { text: string; removed: number }[] = [];
  for (let start = 0; start < lines.length - 1; start++) {
    const line = lines[start]!;
    // Arms of a switch, closing lines, and counters that a block needs stay.
    if (/^(\}|case |default:|let |break;)/.test(line)) continue;
    const end = statementEnd(lines, start);
    if (end >= lines.length - 1) continue;
    variants.push({
      text: [...lines.slice(0, start), ...lines.slice(end + 1)].join("\n"),
      removed: end - start,
    });
  }
  const shortened: string[] = [];
  for (let keep = lines.length >> 1; keep > 0; keep >>= 1) {
    const head = lines.slice(0, lines.length - 1 - keep);
    let depth = 0;
    for (const character of head.join("")) depth += character === "{" ? 1 : character === "}" ? -1 : 0;
    if (depth === 0) shortened.push([...head, lines.at(-1)!].join("\n"));
  }
  return [...shortened, ...variants.sort((a, b) => b.removed - a.removed).map(({ text }) => text)];
}

/**
 * Contents of every block in the place of the whole statement that holds it. The block's own loop counter becomes a plain
 * variable; those of loops inside stay, for a loop whose counter its body can assign might never end.
 */
function unwrapped(body: string): string[] {
  const lines = body.split("\n");
  const variants: string[] = [];
  /** First lines of the statements around this place, innermost last. */
  const around: number[] = [];
  lines.forEach((line, start) => {
    const closed = line.startsWith("}") ? around.pop() : undefined;
    if (!line.endsWith("{")) return;
    const outer = closed ?? (/^(case |default:)/.test(line) ? around.at(-1)! : start);
    around.push(outer);
    if (line.startsWith("switch") || line === "{") return;
    const header = line === "do {" ? lines[start - 1]! : line;
    const counter = /^(?:for \()?let (k\d)\b/.exec(header)?.[1];
    const plain = (text: string) =>
      counter ? text.replaceAll(new RegExp(`\\b${counter}\\b`, "g"), "x") : text;
    const inner: string[] = [];
    let depth = 1;
    for (let place = start + 1; place < lines.length; place++) {
      const text = lines[place]!;
      if (text.startsWith("}")) depth--;
      if (depth === 0) break;
      if (text.endsWith("{")) depth++;
      if (!/(break|continue);$/.test(text)) inner.push(plain(text));
    }
    const end = statementEnd(lines, outer);
    if (end < lines.length - 1)
      variants.push([...lines.slice(0, outer), ...inner, ...lines.slice(end + 1)].join("\n"));
  });
  return variants;
}

function closing(text: string, open: number): number {
  let depth = 0;
  for (let place = open; place < text.length; place++) {
    if (text[place] === "(") depth++;
    if (text[place] === ")" && --depth === 0) return place;
  }
  return text.length;
}

const CONSTANTS: Readonly<Record<string, string>> = {
  i32: "a",
  u32: "w",
  i64: "c",
  u64: "v",
  f32: "e",
  f64: "g",
};

function withSimplerExpressions(body: string): string[] {
  const variants: string[] = [];
  for (const match of body.matchAll(/\(<([iuf](?:32|64))>/g)) {
    const end = closing(body, match.index);
    const simple = CONSTANTS[match[1]!]!;
    if (end - match.index > 24) variants.push(body.slice(0, match.index) + simple + body.slice(end + 1));
  }
  return variants.sort((a, b) => a.length - b.length);
}

export function smallerVariants(original: GeneratedFunction): GeneratedFunction[] {
  const bodies = [
    ...withoutStatements(original.body),
    ...unwrapped(original.body),
    ...withSimplerExpressions(original.body),
  ];
  return bodies.map((body) => ({ result: original.result, body }));
}

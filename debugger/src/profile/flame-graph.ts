/**
 * A flame graph as one SVG file that needs nothing else: the width of a box is its share of the busy cycles, callees stand on callers, the
 * tip of a box says the numbers. Boxes narrower than a pixel are left out.
 */
import type { NamedCall, NamedProfile } from "./named-profile.ts";

const WIDTH = 1200;
const ROW = 17;
const MARGIN = 10;
const HEAD = 30;
const NARROWEST = 1;
const CHARACTER = 6.6;

const escaped = (text: string) => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

/** Kernel, first level and programs are told apart by colour; the shade varies with the name. */
function colour(name: string, depth: number): string {
  let hash = 0;
  for (const character of name) hash = (Math.imul(hash, 31) + character.charCodeAt(0)) >>> 0;
  const hue = depth < 2 ? 220 : name.startsWith("kernel!") ? 25 : name.startsWith("rt!") ? 140 : 50;
  return `hsl(${hue + (hash % 12)} 75% ${62 + ((hash >> 8) % 14)}%)`;
}

export function flameGraph({ tree }: NamedProfile, title: string): string {
  const scale = (WIDTH - 2 * MARGIN) / (tree.total || 1);
  let deepest = 0;
  const boxes: { readonly x: number; readonly depth: number; readonly call: NamedCall }[] = [];
  const place = (call: NamedCall, x: number, depth: number) => {
    if (call.total * scale < NARROWEST) return;
    deepest = Math.max(deepest, depth);
    boxes.push({ x, depth, call });
    let at = x;
    for (const callee of [...call.callees.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
      place(callee, at, depth + 1);
      at += callee.total * scale;
    }
  };
  place(tree, MARGIN, 0);
  const height = HEAD + (deepest + 1) * ROW + MARGIN;
  const drawn = boxes.map(({ x, depth, call }) => {
    const width = call.total * scale;
    const y = height - MARGIN - (depth + 1) * ROW;
    const room = Math.floor((width - 4) / CHARACTER);
    const label = room < 3 ? "" : call.name.length <= room ? call.name : `${call.name.slice(0, room - 1)}…`;
    const share = ((100 * call.total) / (tree.total || 1)).toFixed(2);
    const cycles = (value: number) => Math.round(value).toLocaleString("en-US");
    const tip = `${call.name}: ${cycles(call.total)} cycles (${share}%), ${cycles(call.cycles)} of its own`;
    return `<g><title>${escaped(tip)}</title><rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${ROW - 1}" rx="1" fill="${colour(call.name, depth)}"/>${label && `<text x="${(x + 3).toFixed(1)}" y="${y + 12}">${escaped(label)}</text>`}</g>`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="monospace" font-size="11">
<rect width="100%" height="100%" fill="white"/>
<text x="${MARGIN}" y="20" font-size="14">${escaped(title)}</text>
${drawn.join("\n")}
</svg>
`;
}

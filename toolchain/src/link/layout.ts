/** Where everything of an image lies, as distances from its base; the drawing is in `image.ts`. */
import type { CodeObject } from "../contract.ts";
import { alignUp } from "./byte-writer.ts";
import { PAGE_SIZE } from "./elf.ts";

export const TEXT_ALIGNMENT = 16;

/** Distances from the base that follow from sizes alone. */
export interface Layout {
  readonly text: number;
  readonly textEnd: number;
  readonly objectText: readonly number[];
  readonly got: number;
  readonly data: number;
  readonly staticData: number;
  readonly dataEnd: number;
  readonly bss: number;
  readonly end: number;
  readonly globals: ReadonlyMap<string, number>;
}

const isZero = (bytes: Uint8Array) => bytes.every((byte) => byte === 0);

export function layOut(objects: readonly CodeObject[], headersEnd: number, importCount: number): Layout {
  const text = alignUp(headersEnd, TEXT_ALIGNMENT);
  let place = text;
  const objectText = objects.map((object) => {
    place = alignUp(place, TEXT_ALIGNMENT);
    const start = place;
    place += object.text.length;
    return start;
  });
  const textEnd = place;
  const got = alignUp(textEnd, PAGE_SIZE);
  const data = got + importCount * 4;
  const globals = new Map<string, number>();
  place = data;
  const allGlobals = objects.flatMap((object) => object.globals);
  for (const global of allGlobals) {
    if (!global.fixup && isZero(global.initial)) continue;
    place = alignUp(place, global.size);
    globals.set(global.name, place);
    place += global.size;
  }
  const section = objects.find((object) => object.data)?.data;
  const staticData = alignUp(place, 16);
  // Static data without bytes is all zero and starts in .bss.
  const dataEnd = section && section.bytes.length > 0 ? staticData + section.bytes.length : place;
  const bss = section ? Math.max(dataEnd, staticData + section.bytes.length) : dataEnd;
  place = section ? staticData + section.size : dataEnd;
  for (const global of allGlobals) {
    if (globals.has(global.name)) continue;
    place = alignUp(place, global.size);
    globals.set(global.name, place);
    place += global.size;
  }
  return {
    text,
    textEnd,
    objectText,
    got,
    data,
    staticData,
    dataEnd,
    bss,
    end: Math.max(place, bss),
    globals,
  };
}

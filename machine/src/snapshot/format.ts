/**
 * The file of a snapshot. All numbers are 32-bit, lowest byte first.
 *
 *    0  8 bytes   "RIALTO", 1AH, 0AH
 *    8  version   1
 *   12  bytes of the description, D
 *   16  pages of RAM, 4096 bytes each
 *   20  pages that are stored, P: those that are not all zero
 *   24  8 bytes   checksum of all other bytes (two words of `StateHash`)
 *   32  description: JSON in UTF-8, D bytes, then zeros up to a multiple of 4
 *    …  P numbers of the stored pages, ascending
 *    …  P pages
 *
 * A reader believes nothing before the checksum is right, and allocates no more than a file of that length can fill, whatever its
 * numbers say. The checksum finds accidents; it is no defence against somebody who makes a file, so that the description is checked too.
 */
import { StateHash } from "../boards/state-hash.ts";

export const SNAPSHOT_VERSION = 1;
const MAGIC = [0x52, 0x49, 0x41, 0x4c, 0x54, 0x4f, 0x1a, 0x0a];
const HEADER = 32;
const VERSION = 2;
const DESCRIPTION_BYTES = 3;
const RAM_PAGES = 4;
const STORED_PAGES = 5;
const CHECKSUM = 6;
const HEADER_WORDS = HEADER / 4;
const PAGE = 4096;
const PAGE_WORDS = PAGE / 4;

/** Why a snapshot cannot be used. */
export type SnapshotProblem = "no snapshot" | "other version" | "damaged" | "other machine";

export class SnapshotError extends Error {
  readonly problem: SnapshotProblem;

  constructor(problem: SnapshotProblem, message: string, options: ErrorOptions = {}) {
    super(message, options);
    this.name = "SnapshotError";
    this.problem = problem;
  }
}

export interface SnapshotContents {
  /** What `JSON.parse` gave: not yet checked. */
  readonly description: unknown;
  readonly ramPages: number;
  /** Ascending, below `ramPages`. */
  readonly pageNumbers: Int32Array;
  /** The stored pages, one after the other. */
  readonly pages: Uint8Array;
}

const paddedLength = (bytes: number): number => (bytes + 3) & ~3;

/** Two words over everything but the checksum. */
function checksum(words: Int32Array): [number, number] {
  const digest = new StateHash()
    .words(words.subarray(0, CHECKSUM))
    .words(words.subarray(HEADER_WORDS))
    .digest();
  return [Number.parseInt(digest.slice(0, 8), 16) | 0, Number.parseInt(digest.slice(8), 16) | 0];
}

function storedPages(ram: Int32Array): Int32Array {
  const pages: number[] = [];
  for (let page = 0; page * PAGE_WORDS < ram.length; page++) {
    const end = (page + 1) * PAGE_WORDS;
    for (let i = page * PAGE_WORDS; i < end; i++) {
      if (ram[i] !== 0) {
        pages.push(page);
        break;
      }
    }
  }
  return Int32Array.from(pages);
}

/** `ram` is whole pages. */
export function writeSnapshot(description: unknown, ram: Uint8Array): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(description));
  const pages = storedPages(new Int32Array(ram.buffer, ram.byteOffset, ram.byteLength / 4));
  const numbersAt = HEADER + paddedLength(text.length);
  const file = new Uint8Array(numbersAt + pages.length * (4 + PAGE));
  const words = new Int32Array(file.buffer);
  file.set(MAGIC);
  words[VERSION] = SNAPSHOT_VERSION;
  words[DESCRIPTION_BYTES] = text.length;
  words[RAM_PAGES] = ram.byteLength / PAGE;
  words[STORED_PAGES] = pages.length;
  file.set(text, HEADER);
  words.set(pages, numbersAt / 4);
  let at = numbersAt + pages.length * 4;
  for (const page of pages) {
    file.set(ram.subarray(page * PAGE, (page + 1) * PAGE), at);
    at += PAGE;
  }
  sealSnapshot(file);
  return file;
}

/** Gives a file its checksum; it is whole words, the header among them. */
export function sealSnapshot(file: Uint8Array): void {
  const words = new Int32Array(file.buffer, file.byteOffset, file.byteLength / 4);
  words.set(checksum(words), CHECKSUM);
}

function damaged(what: string, options?: ErrorOptions): SnapshotError {
  return new SnapshotError("damaged", `the snapshot is damaged: ${what}; make it again`, options);
}

/** Throws `SnapshotError`. */
export function readSnapshot(bytes: Uint8Array): SnapshotContents {
  if (bytes.length < 12 || MAGIC.some((byte, i) => bytes[i] !== byte))
    throw new SnapshotError("no snapshot", "this is no snapshot of a machine");
  const version = new DataView(bytes.buffer, bytes.byteOffset).getUint32(8, true);
  if (version !== SNAPSHOT_VERSION) {
    throw new SnapshotError(
      "other version",
      `the snapshot has version ${version}, and this program reads version ${SNAPSHOT_VERSION}: make it again`,
    );
  }
  if (bytes.length < HEADER || bytes.length % 4 !== 0) throw damaged("it is cut off");
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const words = new Int32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
  const [descriptionBytes, ramPages, stored] = [DESCRIPTION_BYTES, RAM_PAGES, STORED_PAGES].map(
    (index) => words[index]! >>> 0,
  ) as [number, number, number];
  const numbersAt = HEADER + Math.ceil(descriptionBytes / 4) * 4;
  const length = numbersAt + stored * (4 + PAGE);
  if (length !== bytes.length) throw damaged(`it has ${bytes.length} bytes where ${length} belong`);
  const [first, second] = checksum(words);
  if (first !== words[CHECKSUM] || second !== words[CHECKSUM + 1]) throw damaged("its checksum is wrong");
  const pageNumbers = words.subarray(numbersAt / 4, numbersAt / 4 + stored);
  for (let i = 0; i < stored; i++) {
    if (pageNumbers[i]! >>> 0 >= ramPages || (i > 0 && pageNumbers[i]! <= pageNumbers[i - 1]!))
      throw damaged("its pages are out of order");
  }
  let description: unknown;
  try {
    description = JSON.parse(
      new TextDecoder("utf-8").decode(aligned.subarray(HEADER, HEADER + descriptionBytes)),
    );
  } catch (error) {
    throw damaged("its description makes no sense", { cause: error });
  }
  return { description, ramPages, pageNumbers, pages: aligned.subarray(numbersAt + stored * 4) };
}

/** Bytes of RAM of the machine that a snapshot needs. Throws `SnapshotError`. */
export function snapshotMemory(bytes: Uint8Array): number {
  return readSnapshot(bytes).ramPages * PAGE;
}

/** Name of the cycle model that the machine of a snapshot has; undefined when it names none. */
export function snapshotCycleModel(bytes: Uint8Array): unknown {
  const { description } = readSnapshot(bytes);
  return typeof description === "object" && description !== null && "cycleModel" in description
    ? description.cycleModel
    : undefined;
}

/** Makes RAM what it was. */
export function fillMemory(ram: Uint8Array, { pageNumbers, pages }: SnapshotContents): void {
  ram.fill(0);
  pageNumbers.forEach((page, i) => {
    ram.set(pages.subarray(i * PAGE, (i + 1) * PAGE), page * PAGE);
  });
}

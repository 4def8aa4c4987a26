/**
 * Multiboot 1 (specification 0.6.96): reads a kernel and lays out the memory that it finds at its entry. Pure: the result
 * is a list of (physical address, bytes), which a board copies into its RAM.
 *
 * As `qemu-system-i386 -kernel` does: ELF segments go to their physical addresses; an entry point that lies in a segment by
 * its virtual address is translated to the physical one; the header's address fields win over ELF when its flag 16 is set.
 *
 *   kernel … │ page boundary │ information, map, strings │ page boundary │ module 0 │ page boundary │ module 1 …
 *
 * The information is in memory that the map calls available, as the specification allows: a kernel keeps it until read.
 */

const HEADER_MAGIC = 0x1badb002;
const HEADER_SEARCH = 8192;
const FLAG_ADDRESSES = 0x0001_0000;
/** Requirements: page-aligned modules (0), memory information (1), video mode (2, left to the kernel). Others are unknown. */
const UNKNOWN_REQUIREMENTS = 0xfff8;

/** In EAX at the entry. */
export const MULTIBOOT_MAGIC = 0x2badb002;

const INFO_MEMORY = 1 << 0;
const INFO_BOOT_DEVICE = 1 << 1;
const INFO_COMMAND_LINE = 1 << 2;
const INFO_MODULES = 1 << 3;
const INFO_MEMORY_MAP = 1 << 6;
const INFO_LOADER_NAME = 1 << 9;
const INFO_SIZE = 120;

const AVAILABLE = 1;
const RESERVED = 2;
const LOW_MEMORY_END = 0x9fc00;
const HOLE_START = 0xa0000;
const VIDEO_END = 0xc0000;
const HOLE_END = 0x100000;
/** At the end of RAM, where a PC's firmware keeps its tables; as much as QEMU's takes, so that a kernel finds the same memory. */
const FIRMWARE_SIZE = 0x20000;
const PAGE = 4096;

export class MultibootError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "MultibootError";
  }
}

export interface MultibootModule {
  /** The string the kernel finds with the module. */
  readonly commandLine: string;
  readonly bytes: Uint8Array;
}

export interface MultibootOptions {
  /** Size of RAM in bytes. */
  readonly memory: number;
  readonly commandLine: string;
  readonly modules: readonly MultibootModule[];
}

export interface MemoryPiece {
  readonly address: number;
  readonly bytes: Uint8Array;
}

export interface MultibootImage {
  readonly pieces: readonly MemoryPiece[];
  /** Ranges that must read as zero: the kernel's uninitialised data. */
  readonly zeroed: ReadonlyArray<{ readonly address: number; readonly size: number }>;
  /** Physical address of the first instruction. */
  readonly entry: number;
  /** Physical address of the information structure: EBX at the entry. */
  readonly information: number;
}

interface Segment extends MemoryPiece {
  /** Size in memory, zero-filled after the bytes. */
  readonly size: number;
}

interface LoadedKernel {
  readonly segments: readonly Segment[];
  readonly entry: number;
}

const hex = (value: number) => `0x${value.toString(16)}`;
const pageUp = (address: number) => Math.ceil(address / PAGE) * PAGE;

function findHeader(kernel: DataView): { readonly offset: number; readonly flags: number } {
  const end = Math.min(kernel.byteLength, HEADER_SEARCH) - 12;
  let damaged: number | undefined;
  for (let offset = 0; offset <= end; offset += 4) {
    if (kernel.getUint32(offset, true) !== HEADER_MAGIC) continue;
    const flags = kernel.getUint32(offset + 4, true);
    if ((HEADER_MAGIC + flags + kernel.getUint32(offset + 8, true)) % 2 ** 32 === 0) return { offset, flags };
    damaged = offset;
  }
  if (damaged !== undefined) {
    throw new MultibootError(`the multiboot header at file offset ${hex(damaged)} has a wrong checksum`);
  }
  throw new MultibootError(
    `no multiboot header in the first ${HEADER_SEARCH} bytes: this is not a multiboot kernel (magic ${hex(HEADER_MAGIC)})`,
  );
}

/** The kernel by the address fields of its header (flag 16). */
function loadByHeader(kernel: DataView, bytes: Uint8Array, header: number): LoadedKernel {
  if (header + 32 > bytes.length)
    throw new MultibootError("the multiboot header's address fields are cut off");
  const field = (index: number) => kernel.getUint32(header + 12 + 4 * index, true);
  const [headerAddress, loadAddress, loadEnd, bssEnd, entry] = [
    field(0),
    field(1),
    field(2),
    field(3),
    field(4),
  ];
  if (headerAddress < loadAddress) {
    throw new MultibootError(
      `the header's own address ${hex(headerAddress)} is below its load address ${hex(loadAddress)}`,
    );
  }
  const start = header - (headerAddress - loadAddress);
  if (start < 0) {
    throw new MultibootError(
      `load address ${hex(loadAddress)} would need bytes before the start of the file`,
    );
  }
  const length = loadEnd === 0 ? bytes.length - start : loadEnd - loadAddress;
  if (length < 0)
    throw new MultibootError(`load end ${hex(loadEnd)} is below load address ${hex(loadAddress)}`);
  if (start + length > bytes.length) {
    throw new MultibootError(
      `the file has ${bytes.length} bytes, its multiboot header needs ${start + length}: truncated kernel`,
    );
  }
  if (bssEnd !== 0 && bssEnd < loadAddress + length) {
    throw new MultibootError(`bss end ${hex(bssEnd)} is below the end of the loaded bytes`);
  }
  const size = bssEnd === 0 ? length : bssEnd - loadAddress;
  return { segments: [{ address: loadAddress, bytes: bytes.subarray(start, start + length), size }], entry };
}

function loadElf(kernel: DataView, bytes: Uint8Array): LoadedKernel {
  if (bytes.length < 52 || kernel.getUint32(0, false) !== 0x7f454c46) {
    throw new MultibootError(
      "the kernel is not an ELF file, and its multiboot header gives no addresses (flag 16)",
    );
  }
  if (bytes[4] !== 1)
    throw new MultibootError("the kernel is a 64-bit ELF file; multiboot starts 32-bit kernels");
  if (bytes[5] !== 1) throw new MultibootError("the kernel is a big-endian ELF file");
  const type = kernel.getUint16(16, true);
  const machine = kernel.getUint16(18, true);
  if (machine !== 3)
    throw new MultibootError(`the kernel is ELF for machine ${machine}; this one is i386 (3)`);
  if (type !== 2) throw new MultibootError(`the kernel is ELF of type ${type}; an executable (2) is needed`);
  let entry = kernel.getUint32(24, true);
  const table = kernel.getUint32(28, true);
  const entrySize = kernel.getUint16(42, true);
  const count = kernel.getUint16(44, true);
  if (entrySize < 32 || table + count * entrySize > bytes.length) {
    throw new MultibootError("the ELF program headers lie outside the file: truncated kernel");
  }
  const segments: Segment[] = [];
  let translated: number | undefined;
  for (let i = 0; i < count; i++) {
    const at = table + i * entrySize;
    if (kernel.getUint32(at, true) !== 1) continue; // PT_LOAD
    const [offset, virtual, physical, fileSize, size] = [1, 2, 3, 4, 5].map((n) =>
      kernel.getUint32(at + 4 * n, true),
    ) as [number, number, number, number, number];
    if (offset + fileSize > bytes.length) {
      throw new MultibootError(
        `ELF segment ${i} needs file bytes up to ${offset + fileSize}, the file has ${bytes.length}: truncated kernel`,
      );
    }
    if (fileSize > size) {
      throw new MultibootError(
        `ELF segment ${i} has more bytes in the file (${fileSize}) than in memory (${size})`,
      );
    }
    if (size === 0) continue;
    if (entry >= virtual && entry < virtual + size) translated ??= entry - virtual + physical;
    segments.push({ address: physical, bytes: bytes.subarray(offset, offset + fileSize), size });
  }
  if (segments.length === 0) throw new MultibootError("the ELF kernel has no segments to load");
  entry = translated ?? entry;
  return { segments, entry };
}

function checkPlaces(segments: readonly Segment[], memory: number): void {
  for (const segment of segments) {
    const end = segment.address + segment.size;
    if (end > memory) {
      throw new MultibootError(
        `the kernel occupies ${hex(segment.address)} to ${hex(end)}, but the machine has ${memory / 2 ** 20} MB of memory: use more`,
      );
    }
    // Linkers often put file headers into the page below 1 MB: shadow RAM takes them, as on QEMU. Video memory is no place.
    if (segment.address < VIDEO_END && end > HOLE_START) {
      throw new MultibootError(
        `a kernel segment at ${hex(segment.address)} to ${hex(end)} overlaps video memory (${hex(HOLE_START)} to ${hex(VIDEO_END)})`,
      );
    }
  }
  const sorted = [...segments].sort((a, b) => a.address - b.address);
  for (let i = 1; i < sorted.length; i++) {
    if (sorted[i - 1]!.address + sorted[i - 1]!.size > sorted[i]!.address) {
      throw new MultibootError(`two kernel segments overlap at physical ${hex(sorted[i]!.address)}`);
    }
  }
}

/** The block that the kernel finds through EBX: structure, memory map, module list, strings. */
function buildInformation(
  address: number,
  options: MultibootOptions,
  placed: ReadonlyArray<{ readonly start: number; readonly end: number; readonly commandLine: string }>,
): Uint8Array {
  const map: ReadonlyArray<readonly [start: number, end: number, type: number]> = [
    [0, LOW_MEMORY_END, AVAILABLE],
    [LOW_MEMORY_END, HOLE_START, RESERVED],
    [0xf0000, HOLE_END, RESERVED],
    [HOLE_END, options.memory - FIRMWARE_SIZE, AVAILABLE],
    [options.memory - FIRMWARE_SIZE, options.memory, RESERVED],
    [0xfffc0000, 2 ** 32, RESERVED],
  ];
  const encoder = new TextEncoder();
  const strings = [options.commandLine, "Rialto", ...placed.map((module) => module.commandLine)].map((text) =>
    encoder.encode(`${text}\0`),
  );
  const mapAt = INFO_SIZE;
  const modulesAt = mapAt + 24 * map.length;
  const stringsAt = modulesAt + 16 * placed.length;
  const bytes = new Uint8Array(stringsAt + strings.reduce((sum, string) => sum + string.length, 0));
  const view = new DataView(bytes.buffer);
  const word = (offset: number, value: number) => view.setUint32(offset, value % 2 ** 32, true);

  const stringAddresses: number[] = [];
  let at = stringsAt;
  for (const string of strings) {
    stringAddresses.push(address + at);
    bytes.set(string, at);
    at += string.length;
  }
  const flags =
    INFO_MEMORY | INFO_BOOT_DEVICE | INFO_COMMAND_LINE | INFO_MODULES | INFO_MEMORY_MAP | INFO_LOADER_NAME;
  word(0, flags);
  word(4, 640 - 1);
  word(8, (options.memory - FIRMWARE_SIZE - HOLE_END) / 1024);
  word(12, 0x8000ffff); // first hard disk, no partition
  word(16, stringAddresses[0]!);
  word(20, placed.length);
  word(24, address + modulesAt);
  word(44, 24 * map.length);
  word(48, address + mapAt);
  word(64, stringAddresses[1]!);
  map.forEach(([start, end, type], i) => {
    const entry = mapAt + 24 * i;
    word(entry, 20);
    word(entry + 4, start);
    word(entry + 12, end - start);
    word(entry + 20, type);
  });
  placed.forEach((module, i) => {
    const entry = modulesAt + 16 * i;
    word(entry, module.start);
    word(entry + 4, module.end);
    word(entry + 8, stringAddresses[2 + i]!);
  });
  return bytes;
}

/** Throws `MultibootError` when the kernel cannot be started on a machine with this much memory. */
export function layOutMultiboot(kernelBytes: Uint8Array, options: MultibootOptions): MultibootImage {
  const view = new DataView(kernelBytes.buffer, kernelBytes.byteOffset, kernelBytes.byteLength);
  const { offset, flags } = findHeader(view);
  if (flags & UNKNOWN_REQUIREMENTS) {
    throw new MultibootError(
      `the kernel requires multiboot features this loader does not know (flags ${hex(flags & UNKNOWN_REQUIREMENTS)})`,
    );
  }
  const kernel =
    flags & FLAG_ADDRESSES ? loadByHeader(view, kernelBytes, offset) : loadElf(view, kernelBytes);
  checkPlaces(kernel.segments, options.memory);
  if (
    !kernel.segments.some(({ address, size }) => kernel.entry >= address && kernel.entry < address + size)
  ) {
    throw new MultibootError(`the entry point ${hex(kernel.entry)} is in none of the kernel's segments`);
  }

  const pieces: MemoryPiece[] = kernel.segments.filter(({ bytes }) => bytes.length > 0);
  const zeroed = kernel.segments
    .map(({ address, bytes, size }) => ({ address: address + bytes.length, size: size - bytes.length }))
    .filter(({ size }) => size > 0);
  const information = pageUp(
    Math.max(HOLE_END, ...kernel.segments.map(({ address, size }) => address + size)),
  );
  // The block's size does not depend on the addresses in it.
  const unplaced = options.modules.map(({ commandLine }) => ({ start: 0, end: 0, commandLine }));
  let end = information + buildInformation(information, options, unplaced).length;
  const placed = options.modules.map(({ commandLine, bytes }) => {
    const start = pageUp(end);
    pieces.push({ address: start, bytes });
    end = start + bytes.length;
    return { start, end, commandLine };
  });
  pieces.push({ address: information, bytes: buildInformation(information, options, placed) });
  if (end > options.memory - FIRMWARE_SIZE) {
    throw new MultibootError(
      `kernel and modules need memory up to ${hex(end)}, but the machine has ${options.memory / 2 ** 20} MB: use more`,
    );
  }
  return { pieces, zeroed, entry: kernel.entry, information };
}

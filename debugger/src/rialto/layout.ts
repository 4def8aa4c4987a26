/**
 * Where the fields of the kernel's records lie, found in the kernel's own sources: the debugger has no numbers of its own that could
 * grow old. An `@unmanaged` class is a C struct (os/README.md): fields in order, 4 bytes each but for numbers of other widths, at
 * multiples of their size; a class that extends ComObject starts behind its vtable and reference count.
 */

/** The files that the debugger needs, below the repository. */
export const KERNEL_SOURCES = {
  thread: "os/kernel/threads/thread.ts",
  process: "os/kernel/objects/process.ts",
  images: "os/kernel/loader/images.ts",
  imageFile: "os/kernel/loader/elf.ts",
  directory: "os/kernel/i386/paging.ts",
  layout: "os/kernel/i386/layout.ts",
  processor: "os/kernel/i386/processor.ts",
  proxies: "os/kernel/calls/proxies.ts",
  proxyStubs: "os/kernel/i386/proxies.asm.ts",
  handles: "os/kernel/calls/handles.ts",
  threadObjects: "os/kernel/objects/threads.ts",
  callRecords: "os/kernel/calls/records.ts",
  doors: "os/kernel/calls/doors.ts",
  descriptors: "os/kernel/calls/descriptors.ts",
  privateTraps: "os/kernel/threads/traps.ts",
} as const;

export type KernelSourceName = keyof typeof KERNEL_SOURCES;
export type KernelSources = Readonly<Record<KernelSourceName, string>>;

/** A field's offset in bytes. */
export type FieldOffset = (field: string) => number;

export interface KernelLayout {
  readonly thread: FieldOffset;
  readonly process: FieldOffset;
  readonly loadedImage: FieldOffset;
  readonly imageFile: FieldOffset;
  readonly directory: FieldOffset;
  readonly task: FieldOffset;
  readonly threadObject: FieldOffset;
  readonly callRecord: FieldOffset;
  readonly door: FieldOffset;
  readonly handle: FieldOffset;
  /** Table of a process's handles: chunks of entries, whose addresses start at an offset. */
  readonly handles: {
    readonly chunks: number;
    readonly chunkEntries: number;
    readonly entrySize: number;
    readonly count: number;
  };
  readonly interface: FieldOffset;
  readonly method: FieldOffset;
  readonly interfaceSize: number;
  readonly methodSize: number;
  /** Selector of the first task state, and bytes of each. */
  readonly taskState: { readonly selector: number; readonly size: number };
  /** Base of the kernel's segments. */
  readonly kernelBase: number;
  /** Base of every segment while the kernel builds its first page directory: makes its addresses physical ones. */
  readonly unpagedBase: number;
  readonly running: number;
  /** The page of code that every process has for its calls: stubs, and where threads and server calls return to. */
  readonly proxies: {
    readonly page: number;
    /** What interface pointers of a process point at, one after the other. */
    readonly entries: number;
    readonly entrySize: number;
    readonly methods: number;
    readonly stubSize: number;
    readonly threadExit: number;
    readonly serverReturn: number;
  };
  /** Names of thread states by number. */
  readonly threadStates: ReadonlyMap<number, string>;
  readonly processStates: ReadonlyMap<number, string>;
  /** Operations of the private trap by number. */
  readonly privateTraps: ReadonlyMap<number, string>;
  readonly vectors: {
    readonly interrupt: number;
    readonly systemCall: number;
    readonly privateTrap: number;
    readonly handOff: number;
    readonly serverReturn: number;
  };
}

const COM_OBJECT_SIZE = 8;

/** Offsets of all fields of a class. Throws when the source has no such class. */
export function fieldOffsets(source: string, name: string): ReadonlyMap<string, number> {
  const start = new RegExp(`^export class ${name}( extends \\w+)?[^{\\n]*\\{$`, "m").exec(source);
  if (!start) throw new Error(`the kernel's sources have no class ${name}`);
  const body = source.slice(start.index + start[0].length);
  const fields = body.slice(0, body.search(/^\}/m)).matchAll(/^ {2}(\w+): (\w+)[^=(){}\n]* = /gm);
  const offsets = new Map<string, number>();
  let offset = start[1] === " extends ComObject" ? COM_OBJECT_SIZE : 0;
  for (const [, field, type] of fields) {
    const size = Number(/^[iuf](8|16|32|64)$/.exec(type)?.[1] ?? 32) / 8;
    offset = Math.ceil(offset / size) * size;
    offsets.set(field, offset);
    offset += size;
  }
  return offsets;
}

function offsetFinder(source: string, name: string): FieldOffset {
  const offsets = fieldOffsets(source, name);
  return (field) => {
    const offset = offsets.get(field);
    if (offset === undefined) throw new Error(`the kernel's class ${name} has no field ${field}`);
    return offset;
  };
}

/** Values of the constants whose names start with `prefix`, by the rest of the name. */
function constants(source: string, prefix: string): ReadonlyMap<string, number> {
  const found = source.matchAll(new RegExp(`^export const ${prefix}(\\w+): \\w+ = (\\w+);$`, "gm"));
  return new Map([...found].map(([, name, value]) => [name, Number(value)]));
}

/** The value of one constant, exported or not, with or without a type. */
function constant(source: string, name: string): number {
  const found = new RegExp(`^(?:export )?const ${name}(?:: \\w+)? = (\\w+);$`, "m").exec(source);
  if (!found) throw new Error(`the kernel's sources have no constant ${name}`);
  return Number(found[1]);
}

function namesByNumber(values: ReadonlyMap<string, number>): ReadonlyMap<number, string> {
  return new Map([...values].map(([name, value]) => [value, name.toLowerCase().replaceAll("_", " ")]));
}

export function readKernelLayout(sources: KernelSources): KernelLayout {
  const threadStates = constants(sources.thread, "THREAD_");
  return {
    thread: offsetFinder(sources.thread, "Thread"),
    process: offsetFinder(sources.process, "Process"),
    loadedImage: offsetFinder(sources.images, "LoadedImage"),
    imageFile: offsetFinder(sources.imageFile, "ImageFile"),
    directory: offsetFinder(sources.directory, "Directory"),
    task: offsetFinder(sources.processor, "TaskState"),
    threadObject: offsetFinder(sources.threadObjects, "ThreadObject"),
    callRecord: offsetFinder(sources.callRecords, "CallRecord"),
    door: offsetFinder(sources.doors, "Door"),
    handle: offsetFinder(sources.handles, "Handle"),
    handles: {
      chunks: constant(sources.handles, "CHUNKS"),
      chunkEntries: constant(sources.handles, "CHUNK_ENTRIES"),
      entrySize: constant(sources.handles, "ENTRY_SIZE"),
      count: constant(sources.proxies, "MAX_HANDLES"),
    },
    interface: offsetFinder(sources.descriptors, "Interface"),
    method: offsetFinder(sources.descriptors, "Method"),
    interfaceSize: constant(sources.descriptors, "INTERFACE_SIZE"),
    methodSize: constant(sources.descriptors, "METHOD_SIZE"),
    taskState: {
      selector: constant(sources.layout, "TASK_STATE"),
      size: constant(sources.processor, "TASK_STATE_SIZE"),
    },
    kernelBase: constant(sources.layout, "KERNEL_BASE"),
    unpagedBase: -constant(sources.layout, "WINDOW_START") >>> 0,
    running: constant(sources.thread, "THREAD_RUNNING"),
    proxies: {
      page: constant(sources.proxies, "PROXY_PAGE"),
      entries: constant(sources.proxies, "PROXY_ENTRIES"),
      entrySize: constant(sources.proxies, "PROXY_SIZE"),
      methods: constant(sources.proxies, "MAX_METHODS"),
      stubSize: constant(sources.proxyStubs, "STUB_SIZE"),
      threadExit: constant(sources.thread, "USER_THREAD_EXIT"),
      serverReturn: constant(sources.proxies, "SERVER_RETURN_STUB"),
    },
    threadStates: namesByNumber(threadStates),
    processStates: namesByNumber(constants(sources.process, "PROCESS_")),
    privateTraps: namesByNumber(constants(sources.privateTraps, "")),
    vectors: {
      interrupt: constant(sources.layout, "VECTOR_INTERRUPT"),
      systemCall: constant(sources.layout, "VECTOR_SYSTEM_CALL"),
      privateTrap: constant(sources.layout, "VECTOR_PRIVATE_TRAP"),
      handOff: constant(sources.layout, "VECTOR_HAND_OFF"),
      serverReturn: constant(sources.layout, "VECTOR_SERVER_RETURN"),
    },
  };
}

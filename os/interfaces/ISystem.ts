import type { IProcess } from "./IProcess";
import type { IServiceState } from "./IServiceState";
import type { IUnknown } from "./IUnknown";
import type { HRESULT, InBytes, InString, Out, OutBytes, OutInterface, u32, u64 } from "./types";

/** Where a program is placed: in an address space of its own, or in the kernel's. */
export const PLACE_PROCESS: u32 = 0;
export const PLACE_KERNEL: u32 = 1;

/** One row of `ps`. The names are NUL-terminated UTF-8, cut to fit. */
@unmanaged
export class ProcessInfo {
  id: u32 = 0;
  /** 3 in a process, 1 in the kernel: the ring its thread-level code runs at. */
  ring: u32 = 0;
  threads: u32 = 0;
  /** Page frames that only this space holds. */
  privatePages: u32 = 0;
  /** Page frames that it shares with other spaces (library code, say). */
  sharedPages: u32 = 0;
  handles: u32 = 0;
  cycles: u64 = 0;
  name0: u64 = 0;
  name1: u64 = 0;
  name2: u64 = 0;
  name3: u64 = 0;
}

/** One row of `modules`: an image loaded in one address space. Addresses are virtual in that space. */
@unmanaged
export class ModuleInfo {
  process: u32 = 0;
  base: u32 = 0;
  codeSize: u32 = 0;
  dataSize: u32 = 0;
  /** Physical address of the frame under the first code page; 0 when not touched yet. */
  codeFrame: u32 = 0;
  /** Physical address of the frame under the first data page; 0 when not touched yet. */
  dataFrame: u32 = 0;
  /** 1 when the image had to be relocated from its preferred base. */
  relocated: u32 = 0;
  /** Code pages in use that are not shared with other spaces: the cost of relocation, or of an image that is not in the archive. */
  privateCodePages: u32 = 0;
  name0: u64 = 0;
  name1: u64 = 0;
  name2: u64 = 0;
  name3: u64 = 0;
}

/** What `mem` shows. All counts are 4 KB page frames. */
@unmanaged
export class MemoryInfo {
  total: u32 = 0;
  free: u32 = 0;
  kernelImage: u32 = 0;
  kernelHeap: u32 = 0;
  bootArchive: u32 = 0;
  pageTables: u32 = 0;
  userStacks: u32 = 0;
  kernelStacks: u32 = 0;
  imageCode: u32 = 0;
  imageData: u32 = 0;
  anonymous: u32 = 0;
  reserved: u32 = 0;
}

/** What becomes of stacks, by the boot option `stacks`; those of the kernel do not grow from STACKS_FIXED on. */
export const STACKS_TRIMMED: u32 = 0;
export const STACKS_UNTRIMMED: u32 = 1;
export const STACKS_FIXED: u32 = 2;
export const STACKS_DEDICATED: u32 = 3;

/** What `stacks` shows. Means are over the time since boot, in thousandths. */
@unmanaged
export class StackInfo {
  policy: u32 = 0;
  /** Pages that a kernel stack has from the start. */
  kernelFirst: u32 = 0;
  /** Bytes that a stack of the caller's may come to have. */
  limit: u32 = 0;
  kernelPages: u32 = 0;
  kernelPeak: u32 = 0;
  kernelMean: u32 = 0;
  /** Most pages that one kernel stack had. */
  kernelDeepest: u32 = 0;
  kernelFaults: u32 = 0;
  kernelTrimmed: u32 = 0;
  userPages: u32 = 0;
  userPeak: u32 = 0;
  userMean: u32 = 0;
  userTrimmed: u32 = 0;
  threads: u32 = 0;
  threadPeak: u32 = 0;
  threadMean: u32 = 0;
}

/** The first object of every address space: finds others by name, starts programs, tells what the system is doing. */
export interface ISystem extends IUnknown {
  /** Finds the object registered under `name` and stores its interface `iid`. `E_NOTFOUND`, `E_NOINTERFACE`. */
  bind(name: InString, iid: u32, out: OutInterface): HRESULT;
  /** Registers `object` under `name` until it is unregistered or the registering space ends. `E_EXISTS`. */
  register(name: InString, object: IUnknown): HRESULT;
  unregister(name: InString): HRESULT;
  /** Loads the image `name` and starts its `main` with `arguments` (words separated by blanks) at `place`. */
  run(name: InString, args: InString, place: u32, out: Out<IProcess>): HRESULT;
  /** The same for an image in the caller's memory. `E_BADIMAGE` for anything that is not a good image. */
  runImage(
    name: InString,
    image: InBytes,
    size: u32,
    args: InString,
    place: u32,
    out: Out<IProcess>,
  ): HRESULT;
  /** Facts about the caller's own space. */
  self(info: Out<ProcessInfo>): HRESULT;
  /** The `index`-th process, the kernel being 0. `S_FALSE` past the last. */
  processInfo(index: u32, info: Out<ProcessInfo>): HRESULT;
  /** The `index`-th loaded image of all spaces. `S_FALSE` past the last. */
  moduleInfo(index: u32, info: Out<ModuleInfo>): HRESULT;
  memoryInfo(info: Out<MemoryInfo>): HRESULT;
  /**
   * Ends the process `id` from outside; its exit code is `E_CANCELLED`. `E_ACCESSDENIED` for what the caller did not start, unless the caller was
   * started at boot, as the shell was.
   */
  kill(id: u32): HRESULT;
  /** Copies the value of boot option `key` (NUL-terminated) into `value`. `E_NOTFOUND`. */
  option(key: InString, value: OutBytes, size: u32): HRESULT;
  /** The `index`-th name of the registry. `S_FALSE` past the last. */
  registeredName(index: u32, name: OutBytes, size: u32): HRESULT;
  /** Cycles since boot, and cycles in a second. */
  time(cycles: Out<u64>, frequency: Out<u32>): HRESULT;
  /** Suspends the calling thread. */
  sleep(milliseconds: u32): HRESULT;
  /** Marks a phase of a measurement on the machine's monitor port, where there is one. */
  markPhase(phase: u32): HRESULT;
  /** Ends the run; `code` is the exit code of the machine. Does not return. */
  powerOff(code: u32): HRESULT;
  /**
   * `register` for a service that can be moved: its clients get pointers that outlive a move, all its names share one `state`. S_OK: go on,
   * with `state.resume()`. S_FALSE: the caller is the new instance of a service under way; it waits for `restore` and `resume`.
   */
  registerService(name: InString, object: IUnknown, state: IServiceState): HRESULT;
  /**
   * Moves the service registered under `name`, or whose program is called that, to `place` while it runs. Returns when it runs there and
   * the old instance is gone; S_FALSE if it was there already. After a failure it runs on where it was: `E_NOTFOUND`, `E_NOINTERFACE` (it
   * was not registered with its state), `E_BUSY` (a move is under way, or the caller is inside the service), `E_TIMEOUT` (a call did
   * not come to its end), what loading the new instance gives, what the service itself gives.
   */
  place(name: InString, place: u32): HRESULT;
  /** How stacks are used, since boot. */
  stackInfo(info: Out<StackInfo>): HRESULT;
}
export declare const ISystem: { readonly IID: u32 };

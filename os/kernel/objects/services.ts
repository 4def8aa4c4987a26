/**
 * The object that every space starts with: `ISystem`, `IMemory`, `IThreads`, `IFaults`, `IDriver` and `ILibraries` of one space. A process has its own; all programs
 * in the kernel share one, and which of them calls follows from the calling thread. The work is done next door: system.ts, memory.ts,
 * threads.ts, drivers-api/driver.ts.
 */

import type { IDriver } from "../../interfaces/IDriver";
import type { IFaults } from "../../interfaces/IFaults";
import type { ILibraries } from "../../interfaces/ILibraries";
import type { IMemory, MemoryCounters } from "../../interfaces/IMemory";
import type { IServiceState } from "../../interfaces/IServiceState";
import type { ISharedMemory } from "../../interfaces/ISharedMemory";
import {
  ISystem,
  type MemoryInfo,
  type ModuleInfo,
  type ProcessInfo,
  type StackInfo,
} from "../../interfaces/ISystem";
import type { IThreads } from "../../interfaces/IThreads";
import type { IUnknown } from "../../interfaces/IUnknown";
import { E_ACCESSDENIED, E_CANCELLED, E_INVALIDARG, S_OK } from "../../interfaces/results";
import type {
  HRESULT,
  InBytes,
  InOut,
  InString,
  Out,
  OutBytes,
  OutInterface,
  u32,
  u64,
} from "../../interfaces/types";
import { interfaceWithId } from "../calls/descriptors";
import { insertHandle } from "../calls/handles";
import { proxyAddress } from "../calls/proxies";
import { boundPool } from "../calls/server-threads";
import {
  enterInterruptSafe,
  leaveInterruptSafe,
  mapDevice,
  pin,
  translate,
  unpin,
} from "../drivers-api/driver";
import { processorFrequency } from "../i386/clock";
import { connectInterrupt, disconnectInterrupt } from "../i386/interrupts";
import { markPhase } from "../i386/monitor";
import { launch, launchImage } from "../loader/launch";
import { librariesInitialised, loadForProgram } from "../loader/libraries";
import { currentThread } from "../threads/thread";
import { sleep, WAIT_CANCELLED } from "../threads/wait";
import { newAlarm } from "./alarms";
import { handleFaults, settleFault } from "./fault-handlers";
import {
  changeProtection,
  commitMemory,
  describeCounters,
  frameUnder,
  isProtection,
  mapMemory,
  ownRegion,
  unmapMemory,
} from "./memory";
import { placeService, registerService } from "./moving";
import { kernelProcess, type Process } from "./process";
import { bindName, nameAt, registerName, unregisterName } from "./registry";
import { mapSharedMemory, shareMemory } from "./shared-memory";
import { describeStacks } from "./stacks";
import {
  describeMemory,
  describeModule,
  describeProcess,
  describeSpace,
  killProcess,
  optionValue,
  powerOff,
} from "./system";
import { createProgramThread } from "./threads";

@unmanaged
export class SpaceServices
  extends ComObject
  implements ISystem, IMemory, IThreads, IDriver, IFaults, ILibraries
{
  /** The process whose space it is; process 0 for the kernel's. */
  process: Process = changetype<Process>(0);

  // ISystem
  bind(name: InString, iid: u32, out: OutInterface): HRESULT {
    return bindName(name, iid, out);
  }
  register(name: InString, object: IUnknown): HRESULT {
    return registerName(program(this), name, changetype<usize>(object));
  }
  unregister(name: InString): HRESULT {
    return unregisterName(program(this), name);
  }
  run(name: InString, args: InString, place: u32, out: Out<usize>): HRESULT {
    return launch(name, args, place, out);
  }
  runImage(name: InString, image: InBytes, size: u32, args: InString, place: u32, out: Out<usize>): HRESULT {
    return launchImage(name, image, size, args, place, out);
  }
  self(info: Out<ProcessInfo>): HRESULT {
    return describeSpace(this.process, info);
  }
  processInfo(index: u32, info: Out<ProcessInfo>): HRESULT {
    return describeProcess(index, info);
  }
  moduleInfo(index: u32, info: Out<ModuleInfo>): HRESULT {
    return describeModule(index, info);
  }
  memoryInfo(info: Out<MemoryInfo>): HRESULT {
    return describeMemory(info);
  }
  kill(id: u32): HRESULT {
    return killProcess(program(this), id);
  }
  option(key: InString, value: OutBytes, size: u32): HRESULT {
    return optionValue(key, value, size);
  }
  registeredName(index: u32, name: OutBytes, size: u32): HRESULT {
    return nameAt(index, name, size);
  }
  time(cycles: Out<u64>, frequency: Out<u32>): HRESULT {
    store<u64>(cycles, timeStamp());
    store<u32>(frequency, processorFrequency());
    return S_OK;
  }
  sleep(milliseconds: u32): HRESULT {
    return sleep(milliseconds) === WAIT_CANCELLED ? E_CANCELLED : S_OK;
  }
  markPhase(phase: u32): HRESULT {
    markPhase(phase);
    return S_OK;
  }
  powerOff(code: u32): HRESULT {
    return powerOff(code);
  }
  stackInfo(info: Out<StackInfo>): HRESULT {
    return describeStacks(this.process, info);
  }

  registerService(name: InString, object: IUnknown, state: IServiceState): HRESULT {
    return registerService(program(this), name, changetype<usize>(object), changetype<usize>(state));
  }
  place(name: InString, place: u32): HRESULT {
    return placeService(name, place);
  }

  // IMemory
  map(address: InOut<u32>, size: u32, protection: u32): HRESULT {
    const result = mapMemory(this.process, address, size, protection);
    if (result >= 0 && !this.process.ownSpace) ownRegion(load<u32>(address), load<usize>(framePointer(), 4));
    return result;
  }
  unmap(address: u32): HRESULT {
    return unmapMemory(this.process, address);
  }
  protect(address: u32, size: u32, protection: u32): HRESULT {
    return changeProtection(this.process, address, size, protection);
  }
  frame(address: u32, physical: Out<u32>): HRESULT {
    return frameUnder(this.process, address, physical);
  }
  commit(address: u32, size: u32): HRESULT {
    return commitMemory(this.process, address, size);
  }
  share(size: u32, out: Out<usize>): HRESULT {
    return shareMemory(size, out);
  }
  mapShared(object: ISharedMemory, address: InOut<u32>, protection: u32): HRESULT {
    if (!isProtection(protection)) return E_INVALIDARG;
    const result = mapSharedMemory(this.process, changetype<usize>(object), address, protection);
    if (result >= 0 && !this.process.ownSpace) ownRegion(load<u32>(address), load<usize>(framePointer(), 4));
    return result;
  }
  counters(counters: Out<MemoryCounters>): HRESULT {
    return describeCounters(counters);
  }

  // IThreads
  create(entry: u32, argument: u32, priority: u32, out: Out<usize>): HRESULT {
    return createProgramThread(program(this), entry, argument, priority, out);
  }
  current(id: Out<u32>): HRESULT {
    store<u32>(id, currentThread().id);
    return S_OK;
  }
  alarm(out: Out<usize>): HRESULT {
    return newAlarm(out);
  }

  serverPool(limit: u32, policy: u32): HRESULT {
    return boundPool(program(this), limit, policy);
  }

  // IDriver
  connectInterrupt(line: u32, handler: u32, argument: u32): HRESULT {
    return this.process.ownSpace ? E_ACCESSDENIED : connectInterrupt(line, handler, argument);
  }
  disconnectInterrupt(line: u32): HRESULT {
    return this.process.ownSpace ? E_ACCESSDENIED : disconnectInterrupt(line);
  }
  enterInterruptSafe(): HRESULT {
    return this.process.ownSpace ? E_ACCESSDENIED : enterInterruptSafe();
  }
  leaveInterruptSafe(): HRESULT {
    return this.process.ownSpace ? E_ACCESSDENIED : leaveInterruptSafe();
  }
  pin(address: u32, size: u32): HRESULT {
    return this.process.ownSpace ? E_ACCESSDENIED : pin(address, size);
  }
  unpin(address: u32, size: u32): HRESULT {
    return this.process.ownSpace ? E_ACCESSDENIED : unpin(address, size);
  }
  translate(address: u32, physical: Out<u32>): HRESULT {
    return this.process.ownSpace ? E_ACCESSDENIED : translate(address, physical);
  }
  mapDevice(physical: u32, size: u32, address: Out<u32>): HRESULT {
    if (this.process.ownSpace) return E_ACCESSDENIED;
    const result = mapDevice(physical, size, address);
    if (result >= 0) ownRegion(load<u32>(address), load<usize>(framePointer(), 4));
    return result;
  }

  // ILibraries
  load(name: InString, initialisers: OutBytes, size: u32, count: Out<u32>, out: Out<usize>): HRESULT {
    return loadForProgram(program(this), name, initialisers, size, count, out);
  }
  initialised(): HRESULT {
    return librariesInitialised(program(this));
  }

  // IFaults
  handle(dispatcher: u32, handler: u32): HRESULT {
    return handleFaults(program(this), dispatcher, handler);
  }
  settle(verdict: u32): HRESULT {
    return settleFault(verdict);
  }

  finish(): void {
    this.process.release();
  }
}

/** The program that calls: the space's own; in the kernel, the calling thread's, or the kernel for a thread that came from a process. */
function program(services: SpaceServices): Process {
  if (services.process.ownSpace) return services.process;
  const process = changetype<Process>(currentThread().process);
  return process.ownSpace ? kernelProcess() : process;
}

/** Makes a space's object; the process keeps one reference. False when memory is exhausted. */
export function createServices(process: Process): bool {
  const services = newObject<SpaceServices>();
  if (!services) return false;
  process.addRef();
  services.process = process;
  process.services = changetype<usize>(interfaceOf<ISystem>(services));
  return true;
}

/** A program's interface pointer to its space's ISystem, as StartBlock wants it; 0 when memory is exhausted. */
export function servicesPointer(process: Process): u32 {
  if (!process.ownSpace) return <u32>kernelProcess().services;
  if (!createServices(process)) return 0;
  changetype<IUnknown>(process.services).addRef();
  const handle = insertHandle(process.handles, process.services, interfaceWithId(ISystem.IID));
  return handle ? proxyAddress(handle.index) : 0;
}

/**
 * The terminal's object, which is all of the service; its key is 0. Its state, when it moves, is what has been typed:
 *
 *   u32 length of the line, bytes in the queue, lines in the queue, interrupts, afterReturn; the line; the queue
 *
 * One thread reads keys, echoes and edits; finished lines stand in a queue for `readLine`. Ctrl-C
 * throws the line away and wakes `waitInterrupt`; Ctrl-D at the start of a line is the end of input; Ctrl-U clears the line.
 */

import type { IConsole } from "../../interfaces/IConsole";
import type { ISerial } from "../../interfaces/ISerial";
import type { IServiceObject } from "../../interfaces/IServiceObject";
import type { IServiceState } from "../../interfaces/IServiceState";
import type { IThread } from "../../interfaces/IThread";
import type { IThreads } from "../../interfaces/IThreads";
import {
  E_BUFFER,
  E_CANCELLED,
  E_INVALIDARG,
  E_MOVED,
  E_NOTFOUND,
  S_FALSE,
  S_OK,
} from "../../interfaces/results";
import type { HRESULT, InBytes, Out, OutBytes, OutInterface } from "../../interfaces/types";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import { type Condition, FOREVER, type Mutex, WAIT_CANCELLED } from "../../lib/rt/wait";

const LINE: u32 = 512;
const QUEUED: u32 = 4096;
const INTERRUPT: u32 = 3;
const END_OF_INPUT: u32 = 4;
const BACKSPACE: u32 = 8;
const NEWLINE: u32 = 10;
const RETURN: u32 = 13;
const CLEAR_LINE: u32 = 21;
const DELETE: u32 = 127;
/** Stands in the queue for the end of input. */
const END_MARK: u32 = 4;

const lineBytes: usize = memory.data(512, 16);
/** Ring of finished lines, each ended by a newline or END_MARK. */
const queueBytes: usize = memory.data(4096, 16);

/** Words of saved state in front of the bytes. */
const STATE_HEADER: u32 = 20;

@unmanaged
export class Terminal extends ComObject implements IConsole, IServiceObject, IServiceState {
  serial: ISerial = changetype<ISerial>(0);
  threads: IThreads = changetype<IThreads>(0);
  /** The thread that reads keys; 0 while the service is suspended. */
  reader: usize = 0;
  /** Calls that wait are to come back with E_MOVED, and the reader is to end. */
  suspended: u32 = 0;
  /** Guards the queue. */
  lock: u32 = 0;
  arrived: u32 = 0;
  /** Guards the order of output. */
  outputLock: u32 = 0;
  first: u32 = 0;
  count: u32 = 0;
  /** Finished lines in the queue. */
  lines: u32 = 0;
  length: u32 = 0;
  /** Ctrl-C pressed so far. */
  interrupts: u32 = 0;
  /** The last key was a carriage return: a newline that follows is part of it. */
  afterReturn: u32 = 0;

  mutex(): Mutex {
    return changetype<Mutex>(changetype<usize>(this) + offsetof<Terminal>("lock"));
  }

  condition(): Condition {
    return changetype<Condition>(changetype<usize>(this) + offsetof<Terminal>("arrived"));
  }

  outputMutex(): Mutex {
    return changetype<Mutex>(changetype<usize>(this) + offsetof<Terminal>("outputLock"));
  }

  write(buffer: InBytes, size: u32): HRESULT {
    const chunk = stackAlloc(256);
    let result: HRESULT = S_OK;
    this.outputMutex().acquire();
    let done: u32 = 0;
    while (done < size && result === S_OK) {
      let filled: u32 = 0;
      while (done < size && filled < 255) {
        const byte: u32 = load<u8>(buffer + done++);
        if (byte === NEWLINE) store<u8>(chunk + filled++, <u8>RETURN);
        store<u8>(chunk + filled++, <u8>byte);
      }
      result = this.serial.write(chunk, filled);
    }
    this.outputMutex().release();
    return result;
  }

  flush(): HRESULT {
    return this.serial.flush();
  }

  readLine(buffer: OutBytes, size: u32, length: Out<u32>): HRESULT {
    store<u32>(length, 0);
    if (size === 0) return E_BUFFER;
    const mutex = this.mutex();
    mutex.acquire();
    while (this.lines === 0) {
      const result = this.waitForKeys(mutex);
      if (result < 0) {
        mutex.release();
        return result;
      }
    }
    this.lines--;
    let stored: u32 = 0;
    let byte = this.takeByte();
    const ended = byte === END_MARK;
    while (byte !== NEWLINE && byte !== END_MARK) {
      if (stored + 1 < size) store<u8>(buffer + stored++, <u8>byte);
      byte = this.takeByte();
    }
    mutex.release();
    store<u8>(buffer + stored, 0);
    store<u32>(length, stored);
    return ended ? S_FALSE : S_OK;
  }

  waitInterrupt(): HRESULT {
    const mutex = this.mutex();
    mutex.acquire();
    const before = this.interrupts;
    let result: HRESULT = S_OK;
    while (this.interrupts === before && result >= 0) result = this.waitForKeys(mutex);
    mutex.release();
    return result;
  }

  /** Waits for the reader to do something. E_CANCELLED, E_MOVED. */
  waitForKeys(mutex: Mutex): HRESULT {
    if (this.suspended) return E_MOVED;
    return this.condition().wait(mutex, FOREVER) === WAIT_CANCELLED ? E_CANCELLED : S_OK;
  }

  key(key: Out<u32>): HRESULT {
    store<u32>(key, 0);
    return S_OK;
  }

  suspend(): HRESULT {
    this.mutex().acquire();
    this.suspended = 1;
    this.mutex().release();
    this.condition().broadcast();
    if (this.reader === 0) return S_OK;
    const word = stackAlloc(4);
    const reader = changetype<IThread>(this.reader);
    let result: HRESULT = this.serial.cancelRead();
    if (result >= 0) result = reader.join(word);
    if (result < 0) return result;
    reader.release();
    this.reader = 0;
    return S_OK;
  }

  resume(): HRESULT {
    this.suspended = 0;
    if (this.reader !== 0) return S_OK;
    const word = stackAlloc(4);
    store<u32>(word, 0);
    const entry = <u32>functionAddress(readKeys);
    const result = this.threads.create(entry, changetype<u32>(this), PRIORITY_DEFAULT, word);
    if (result >= 0) this.reader = load<u32>(word);
    return result;
  }

  save(buffer: OutBytes, size: u32, length: Out<u32>): HRESULT {
    const needed = STATE_HEADER + this.length + this.count;
    store<u32>(length, needed);
    if (size < needed) return E_BUFFER;
    store<u32>(buffer, this.length);
    store<u32>(buffer, this.count, 4);
    store<u32>(buffer, this.lines, 8);
    store<u32>(buffer, this.interrupts, 12);
    store<u32>(buffer, this.afterReturn, 16);
    memory.copy(buffer + STATE_HEADER, lineBytes, this.length);
    const queue = buffer + STATE_HEADER + this.length;
    for (let index: u32 = 0; index < this.count; index++)
      store<u8>(queue + index, load<u8>(queueBytes + ((this.first + index) % QUEUED)));
    return S_OK;
  }

  restore(buffer: InBytes, size: u32): HRESULT {
    if (size < STATE_HEADER) return E_INVALIDARG;
    const length = load<u32>(buffer);
    const count = load<u32>(buffer, 4);
    if (length > LINE || count > QUEUED || size !== STATE_HEADER + length + count) return E_INVALIDARG;
    this.length = length;
    this.count = count;
    this.first = 0;
    this.lines = load<u32>(buffer, 8);
    this.interrupts = load<u32>(buffer, 12);
    this.afterReturn = load<u32>(buffer, 16);
    memory.copy(lineBytes, buffer + STATE_HEADER, length);
    memory.copy(queueBytes, buffer + STATE_HEADER + length, count);
    return S_OK;
  }

  object(key: u32, iid: u32, out: OutInterface): HRESULT {
    if (key === 0) return this.queryInterface(iid, out);
    store<usize>(out, 0);
    return E_NOTFOUND;
  }

  finish(): void {
    if (this.reader !== 0) changetype<IThread>(this.reader).release();
    this.serial.release();
    this.threads.release();
  }

  takeByte(): u32 {
    const byte: u32 = load<u8>(queueBytes + this.first);
    this.first = (this.first + 1) % QUEUED;
    this.count--;
    return byte;
  }

  putByte(byte: u32): void {
    store<u8>(queueBytes + ((this.first + this.count) % QUEUED), <u8>byte);
    this.count++;
  }

  /** The line so far becomes a finished one, ended by `mark`. One that the queue has no room for is refused with a bell. */
  finishLine(mark: u32): void {
    const mutex = this.mutex();
    mutex.acquire();
    const fits = this.count + this.length + 1 <= QUEUED;
    if (fits) {
      for (let index: u32 = 0; index < this.length; index++) this.putByte(load<u8>(lineBytes + index));
      this.putByte(mark);
      this.lines++;
      this.length = 0;
    }
    mutex.release();
    if (fits) this.condition().broadcast();
    else this.echo(7);
  }

  echo(byte: u32): void {
    const one = stackAlloc(4);
    store<u8>(one, <u8>byte);
    this.write(one, 1);
  }

  erase(): void {
    this.length--;
    this.echo(BACKSPACE);
    this.echo(32);
    this.echo(BACKSPACE);
  }

  /** Until the serial port fails, or the service is suspended; no byte that was read is lost. */
  readKeys(): void {
    const keys = stackAlloc(64);
    const count = stackAlloc(4);
    const suspended = changetype<usize>(this) + offsetof<Terminal>("suspended");
    while (volatileLoad32(suspended) === 0 && this.serial.read(keys, 64, count) === S_OK) {
      for (let index: u32 = 0; index < load<u32>(count); index++) this.typed(load<u8>(keys + index));
    }
  }

  typed(byte: u32): void {
    const paired = this.afterReturn !== 0 && byte === NEWLINE;
    this.afterReturn = byte === RETURN ? 1 : 0;
    if (paired) return;
    if (byte === RETURN || byte === NEWLINE) {
      this.echo(NEWLINE);
      this.finishLine(NEWLINE);
    } else if (byte === BACKSPACE || byte === DELETE) {
      if (this.length > 0) this.erase();
    } else if (byte === CLEAR_LINE) {
      while (this.length > 0) this.erase();
    } else if (byte === INTERRUPT) {
      this.length = 0;
      this.echo(94);
      this.echo(67);
      this.echo(NEWLINE);
      this.mutex().acquire();
      this.interrupts++;
      this.mutex().release();
      this.condition().broadcast();
    } else if (byte === END_OF_INPUT) {
      if (this.length === 0) this.finishLine(END_MARK);
    } else if (byte >= 32 && this.length < LINE) {
      store<u8>(lineBytes + this.length++, <u8>byte);
      this.echo(byte);
    }
  }
}

/** The thread that turns keys into lines. */
function readKeys(terminal: usize): u32 {
  changetype<Terminal>(terminal).readKeys();
  return 0;
}

/**
 * The terminal's object. One thread reads keys, echoes and edits; finished lines stand in a queue for `readLine`. Ctrl-C
 * throws the line away and wakes `waitInterrupt`; Ctrl-D at the start of a line is the end of input; Ctrl-U clears the line.
 */

import type { IConsole } from "../../interfaces/IConsole";
import type { ISerial } from "../../interfaces/ISerial";
import { E_BUFFER, E_CANCELLED, S_FALSE, S_OK } from "../../interfaces/results";
import type { HRESULT, InBytes, Out, OutBytes } from "../../interfaces/types";
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

@unmanaged
export class Terminal extends ComObject implements IConsole {
  serial: ISerial = changetype<ISerial>(0);
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
      if (this.condition().wait(mutex, FOREVER) === WAIT_CANCELLED) {
        mutex.release();
        return E_CANCELLED;
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
    while (this.interrupts === before) {
      if (this.condition().wait(mutex, FOREVER) === WAIT_CANCELLED) {
        mutex.release();
        return E_CANCELLED;
      }
    }
    mutex.release();
    return S_OK;
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

  /** Until the serial port fails. */
  readKeys(): void {
    const keys = stackAlloc(64);
    const count = stackAlloc(4);
    while (this.serial.read(keys, 64, count) === S_OK) {
      for (let index: u32 = 0; index < load<u32>(count); index++) this.key(load<u8>(keys + index));
    }
  }

  key(byte: u32): void {
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

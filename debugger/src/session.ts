/**
 * One conversation with GDB over the remote serial protocol: bytes in, bytes out. Source: Debugging with GDB, appendix E.
 *
 * All-stop: while the target runs, only the interrupt byte is heard; what else arrives meanwhile is answered when it has stopped.
 * The order of a stop: the reply to `c`, `s` or `vCont` is sent once, when the target is held again.
 */

import {
  bytesOfHex,
  bytesOfText,
  escapeBinary,
  framePacket,
  hexadecimal,
  hexOfBytes,
  LONGEST_PACKET,
  PacketReader,
  textOfBytes,
  unescapeBinary,
} from "./packets.ts";
import type { BreakpointKind, DebugTarget, TargetStop, ThreadDescription } from "./target.ts";

const BREAKPOINT_KINDS: readonly BreakpointKind[] = ["software", "hardware", "write", "read", "access"];
const WATCH_NAMES = { write: "watch", read: "rwatch", access: "awatch" } as const;

/** Errors in GDB's numbers, which are those of errno. */
const ERROR_ARGUMENT = "E16";
const ERROR_ADDRESS = "E14";
const ERROR_THREAD = "E03";
const SIGNAL_INTERRUPT = "02";
const SIGNAL_TRAP = "05";
const SIGNAL_SEGMENT = "0b";

export interface SessionHost {
  send(bytes: Uint8Array): void;
  /** GDB has detached or killed: the connection may be closed. */
  ended(): void;
}

export class GdbSession {
  readonly #target: DebugTarget;
  readonly #host: SessionHost;
  readonly #reader = new PacketReader();
  #acknowledging = true;
  /** The last packet sent, in case it is asked for again. */
  #last = framePacket("");
  #running = false;
  #over = false;
  readonly #waiting: string[] = [];
  /** The thread that register and memory packets mean; 0 for the current one. */
  #selected = 0;
  #stop: TargetStop = { reason: "step" };
  #saysBreakpointKind = { software: false, hardware: false };
  #threadsToTell: readonly ThreadDescription[] = [];
  #threadsDocument = "";

  constructor(target: DebugTarget, host: SessionHost) {
    this.#target = target;
    this.#host = host;
    target.listener = { stopped: (stop) => this.#stopped(stop) };
  }

  receive(bytes: Uint8Array): void {
    for (const event of this.#reader.read(bytes)) {
      if (this.#over) return;
      switch (event.kind) {
        case "packet":
          if (this.#acknowledging) this.#host.send(bytesOfText("+"));
          this.#accept(textOfBytes(event.data));
          break;
        case "damaged":
          if (this.#acknowledging) this.#host.send(bytesOfText("-"));
          break;
        case "rejected":
          if (this.#acknowledging) this.#host.send(this.#last);
          break;
        case "interrupt":
          if (this.#running) this.#target.interrupt();
          break;
        case "acknowledged":
          break;
      }
    }
  }

  /** The connection is gone: the guest goes on alone. */
  closed(): void {
    if (this.#over) return;
    this.#over = true;
    this.#target.listener = undefined;
    this.#target.release();
  }

  #accept(packet: string): void {
    if (this.#running) {
      this.#waiting.push(packet);
      return;
    }
    const answer = this.#answer(packet);
    if (answer !== undefined) this.#send(answer);
  }

  #send(answer: string): void {
    this.#last = framePacket(answer);
    this.#host.send(this.#last);
  }

  #stopped(stop: TargetStop): void {
    if (!this.#running) return;
    this.#running = false;
    this.#stop = stop;
    this.#selected = 0;
    this.#send(this.#stopReply());
    while (!this.#running && this.#waiting.length > 0) this.#accept(this.#waiting.shift()!);
  }

  #stopReply(): string {
    const stop = this.#stop;
    const thread = () => `thread:${hexadecimal(this.#target.currentThread())};`;
    switch (stop.reason) {
      case "exit":
        return `W${hexadecimal(stop.status & 0xff, 2)}`;
      case "crash":
        return `X${SIGNAL_SEGMENT}`;
      case "interrupt":
        return `T${SIGNAL_INTERRUPT}${thread()}`;
      case "watchpoint":
        return `T${SIGNAL_TRAP}${WATCH_NAMES[stop.kind]}:${hexadecimal(stop.address)};${thread()}`;
      case "breakpoint": {
        const kind = stop.kind === "software" ? "swbreak:;" : "hwbreak:;";
        return `T${SIGNAL_TRAP}${this.#saysBreakpointKind[stop.kind] ? kind : ""}${thread()}`;
      }
      case "beginning":
        return `T${SIGNAL_TRAP}replaylog:begin;${thread()}`;
      case "step":
        return `T${SIGNAL_TRAP}${thread()}`;
    }
  }

  /** Undefined when there is no answer yet, or none at all. */
  #answer(packet: string): string | undefined {
    const rest = packet.slice(1);
    switch (packet[0]) {
      case "?":
        return this.#stopReply();
      case "g":
        return this.#registers();
      case "G":
        return this.#writeRegisters(rest);
      case "p":
        return this.#register(Number.parseInt(rest, 16));
      case "P":
        return this.#writeRegister(rest);
      case "m":
        return this.#memory(rest);
      case "M":
        return this.#writeMemory(rest, (data) => bytesOfHex(data));
      case "X":
        return this.#writeMemory(rest, (data) => unescapeBinary(bytesOfText(data)));
      case "Z":
      case "z":
        return this.#breakpoint(packet[0] === "Z", rest);
      case "c":
      case "s":
        return this.#goOn(packet[0], rest);
      case "C":
      case "S":
        return this.#goOn(
          packet[0].toLowerCase(),
          rest.includes(";") ? rest.slice(rest.indexOf(";") + 1) : "",
        );
      case "b":
        return this.#goBack(rest);
      case "H":
        return this.#selectThread(rest);
      case "T":
        return this.#target.threads().some(({ id }) => id === Number.parseInt(rest, 16))
          ? "OK"
          : ERROR_THREAD;
      case "D":
        this.#send("OK");
        this.closed();
        this.#host.ended();
        return undefined;
      case "k":
        this.#kill();
        return undefined;
      case "q":
      case "Q":
        return this.#query(packet);
      case "v":
        return this.#multiLetter(packet);
      default:
        return "";
    }
  }

  #kill(): void {
    this.#over = true;
    this.#target.listener = undefined;
    this.#target.kill();
    this.#host.ended();
  }

  get #thread(): number {
    return this.#selected === 0 ? this.#target.currentThread() : this.#selected;
  }

  #registers(): string {
    const bytes = this.#target.readRegisters(this.#thread);
    return bytes ? hexOfBytes(bytes) : ERROR_THREAD;
  }

  #offsetOf(register: number): number {
    return this.#target.registerSizes.slice(0, register).reduce((sum, size) => sum + size, 0);
  }

  #register(number: number): string {
    const size = this.#target.registerSizes[number];
    if (size === undefined) return ERROR_ARGUMENT;
    const bytes = this.#target.readRegisters(this.#thread);
    const offset = this.#offsetOf(number);
    return bytes ? hexOfBytes(bytes.subarray(offset, offset + size)) : ERROR_THREAD;
  }

  #writeRegisters(text: string): string {
    const bytes = bytesOfHex(text);
    const before = this.#target.readRegisters(this.#thread);
    if (!bytes || !before || bytes.length > before.length) return ERROR_ARGUMENT;
    let offset = 0;
    for (const [number, size] of this.#target.registerSizes.entries()) {
      if (offset + size > bytes.length) break;
      const value = bytes.subarray(offset, offset + size);
      const same = value.every((byte, index) => byte === before[offset + index]);
      if (!same && !this.#target.writeRegister(this.#thread, number, value)) return ERROR_ARGUMENT;
      offset += size;
    }
    return "OK";
  }

  #writeRegister(text: string): string {
    const [number, hex] = text.split("=");
    const register = Number.parseInt(number, 16);
    const bytes = bytesOfHex(hex ?? "");
    if (!bytes || bytes.length !== this.#target.registerSizes[register]) return ERROR_ARGUMENT;
    return this.#target.writeRegister(this.#thread, register, bytes) ? "OK" : ERROR_ARGUMENT;
  }

  #memory(text: string): string {
    const [address, length] = text.split(",").map((part) => Number.parseInt(part, 16));
    if (!(address >= 0 && length >= 0)) return ERROR_ARGUMENT;
    const wanted = Math.min(length, LONGEST_PACKET / 2);
    const bytes = this.#target.readMemory(this.#thread, address, wanted);
    return bytes.length === 0 && wanted > 0 ? ERROR_ADDRESS : hexOfBytes(bytes);
  }

  #writeMemory(text: string, decode: (data: string) => Uint8Array | undefined): string {
    const colon = text.indexOf(":");
    const [address, length] = text
      .slice(0, colon)
      .split(",")
      .map((part) => Number.parseInt(part, 16));
    const bytes = colon < 0 ? undefined : decode(text.slice(colon + 1));
    if (!(address >= 0) || !bytes || bytes.length !== length) return ERROR_ARGUMENT;
    return this.#target.writeMemory(this.#thread, address, bytes) ? "OK" : ERROR_ADDRESS;
  }

  #breakpoint(insert: boolean, text: string): string {
    const [type, address, bytes] = text
      .split(";")[0]
      .split(",")
      .map((part) => Number.parseInt(part, 16));
    const kind = BREAKPOINT_KINDS[type];
    if (kind === undefined) return "";
    if (!(address >= 0) || !(bytes >= 0)) return ERROR_ARGUMENT;
    if (insert) this.#target.insert(kind, address, bytes);
    else this.#target.remove(kind, address, bytes);
    return "OK";
  }

  /** `c` or `s`, perhaps from another address. */
  #goOn(action: string, address: string): string | undefined {
    if (address !== "") {
      const eip = Number.parseInt(address, 16);
      const value = Uint8Array.of(eip, eip >>> 8, eip >>> 16, eip >>> 24);
      if (!this.#target.writeRegister(this.#target.currentThread(), 8, value)) return ERROR_ARGUMENT;
    }
    return action === "s" ? this.#step() : this.#resume(undefined);
  }

  /** `bs` or `bc`. */
  #goBack(action: string): string | undefined {
    if (!this.#target.reversible) return "";
    if (action === "s") {
      this.#selected = 0;
      this.#stop = this.#target.stepBack();
      return this.#stopReply();
    }
    if (action !== "c") return "";
    this.#running = true;
    this.#target.resumeBack();
    return undefined;
  }

  #step(): string | undefined {
    this.#selected = 0;
    const stop = this.#target.step();
    this.#running = stop === undefined;
    if (!stop) return undefined;
    this.#stop = stop;
    return this.#stopReply();
  }

  #resume(until: number | undefined): undefined {
    this.#running = true;
    this.#target.resume(until);
    return undefined;
  }

  /** The thread part of a packet; 0 for any, -1 for all. */
  #threadId(text: string): number {
    if (text === "-1") return -1;
    return Number.parseInt(text, 16);
  }

  #selectThread(text: string): string {
    const id = this.#threadId(text.slice(1));
    if (Number.isNaN(id)) return ERROR_ARGUMENT;
    if (id > 0 && !this.#target.threads().some((thread) => thread.id === id)) return ERROR_THREAD;
    if (text[0] === "g") this.#selected = Math.max(id, 0);
    return "OK";
  }

  #multiLetter(packet: string): string | undefined {
    if (packet === "vCont?") return "vCont;c;C;s;S";
    if (packet.startsWith("vCont;")) return this.#continueThreads(packet.slice(6).split(";"));
    if (packet.startsWith("vKill")) {
      this.#send("OK");
      this.#kill();
      return undefined;
    }
    return "";
  }

  /** There is one processor: a step of the current thread is a step, of another one a run until it is there. */
  #continueThreads(actions: readonly string[]): string | undefined {
    const current = this.#target.currentThread();
    for (const action of actions) {
      const [verb, thread] = action.split(":");
      if (!/^[sS]/.test(verb)) continue;
      const id = thread === undefined ? current : this.#threadId(thread);
      return id <= 0 || id === current ? this.#step() : this.#resume(id);
    }
    if (!actions.some((action) => /^[cC]/.test(action))) return ERROR_ARGUMENT;
    return this.#resume(undefined);
  }

  #query(packet: string): string {
    const [name] = packet.split(/[:;,]/);
    switch (name) {
      case "qSupported":
        this.#saysBreakpointKind = {
          software: packet.includes("swbreak+"),
          hardware: packet.includes("hwbreak+"),
        };
        return `PacketSize=${hexadecimal(LONGEST_PACKET)};${this.#target.reversible ? "ReverseStep+;ReverseContinue+;" : ""}QStartNoAckMode+;swbreak+;hwbreak+;vContSupported+;qXfer:features:read+;qXfer:threads:read+`;
      case "QStartNoAckMode":
        // The answer itself is still acknowledged; further ones are not.
        this.#acknowledging = false;
        return "OK";
      case "qAttached":
        return "1";
      case "qC":
        return `QC${hexadecimal(this.#target.currentThread())}`;
      case "qfThreadInfo":
        this.#threadsToTell = this.#target.threads();
        return this.#someThreads();
      case "qsThreadInfo":
        return this.#someThreads();
      case "qThreadExtraInfo": {
        const id = Number.parseInt(packet.slice(packet.indexOf(",") + 1), 16);
        const found = this.#target.threads().find((thread) => thread.id === id);
        return found ? hexOfBytes(bytesOfText(`${found.name}: ${found.detail}`)) : ERROR_THREAD;
      }
      case "qRcmd": {
        const bytes = bytesOfHex(packet.slice(6));
        if (!bytes) return ERROR_ARGUMENT;
        return this.#print(this.#target.monitor(textOfBytes(bytes)));
      }
      case "qXfer":
        return this.#transfer(packet);
      default:
        return "";
    }
  }

  /** All but the end of a long answer goes in console packets of its own. */
  #print(text: string): string {
    const longest = LONGEST_PACKET / 2 - 16;
    for (let start = 0; start < text.length; start += longest) {
      this.#send(`O${hexOfBytes(bytesOfText(text.slice(start, start + longest)))}`);
    }
    return "OK";
  }

  #someThreads(): string {
    const some = this.#threadsToTell.slice(0, 500);
    this.#threadsToTell = this.#threadsToTell.slice(500);
    return some.length === 0 ? "l" : `m${some.map(({ id }) => hexadecimal(id)).join(",")}`;
  }

  #transfer(packet: string): string {
    const [, object, action, annex, range] = packet.split(":");
    const [offset, length] = (range ?? "").split(",").map((part) => Number.parseInt(part, 16));
    if (action !== "read" || !(offset >= 0 && length >= 0)) return "";
    let document: string;
    if (object === "features" && annex === "target.xml") document = this.#target.description;
    else if (object === "threads" && annex === "") {
      if (offset === 0) this.#threadsDocument = threadsDocument(this.#target.threads());
      document = this.#threadsDocument;
    } else return object === "features" ? "E00" : "";
    const most = Math.min(length, LONGEST_PACKET / 2);
    const part = document.slice(offset, offset + most);
    return `${offset + most >= document.length ? "l" : "m"}${escapeBinary(part)}`;
  }
}

function threadsDocument(threads: readonly ThreadDescription[]): string {
  const quoted = (text: string) =>
    text.replace(/[^\x20-\x7e]/g, "?").replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
  const lines = threads.map(
    ({ id, name, detail }) =>
      `<thread id="${hexadecimal(id)}" name="${quoted(name)}">${quoted(detail)}</thread>`,
  );
  return `<?xml version="1.0"?>\n<threads>\n${lines.join("\n")}\n</threads>\n`;
}

/** The protocol against a small program on the board, packet by packet, without GDB; and that debugging does not change a run. */
import { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import { Assembler } from "@rialto/machine/i386/assembler.ts";
import { al, dword, eax, ecx, esp, symbol } from "@rialto/machine/i386/assembly.ts";
import { describe, expect, it } from "vitest";
import { PROCESSOR_THREAD } from "./guest-threads.ts";
import {
  bytesOfHex,
  bytesOfText,
  framePacket,
  hexadecimal,
  hexOfBytes,
  PacketReader,
  textOfBytes,
} from "./packets.ts";
import { PentiumTarget } from "./pentium-target.ts";
import { registerSizes } from "./registers.ts";
import { GdbSession } from "./session.ts";

const CODE = 0x1_0000;
const COUNTER = 0x3_0000;
const OTHER = 0x3_0004;
const THREAD = hexadecimal(PROCESSOR_THREAD);

/** Counts to five in memory, calling a subroutine that reads another word, then ends with status (2 << 1) | 1. */
function program(pc: PentiumPc): ReadonlyMap<string, number> {
  const a = new Assembler();
  a.emit("mov", esp, 0x2_0000);
  a.emit("xor", eax, eax);
  a.label("loop");
  a.emit("inc", eax);
  a.emit("mov", dword({ displacement: COUNTER }), eax);
  a.label("call");
  a.emit("call", symbol("subroutine"));
  a.label("after");
  a.emit("cmp", eax, 5);
  a.emit("jb", symbol("loop"));
  a.emit("mov", al, 2);
  a.emit("out", 0xf4, al);
  a.label("forever");
  a.emit("jmp", symbol("forever"));
  a.label("subroutine");
  a.emit("mov", ecx, dword({ displacement: OTHER }));
  a.emit("ret");
  const code = a.finish();
  const bytes = pc.ram;
  bytes.set(code.text, CODE);
  const symbols = new Map([...code.symbols].map(([name, offset]) => [name, CODE + offset]));
  if (code.fixups.length > 0) throw new Error("the program is to need no fixups");
  pc.processor.enterFlat(CODE);
  return symbols;
}

class Conversation {
  readonly pc = new PentiumPc({ memory: 2 * 2 ** 20 });
  readonly at: (name: string) => number;
  readonly target: PentiumTarget;
  readonly session: GdbSession;
  ended = false;
  quit = false;
  #sent: number[] = [];

  constructor() {
    const symbols = program(this.pc);
    this.at = (name) => symbols.get(name)!;
    this.target = new PentiumTarget(this.pc, { quit: () => (this.quit = true) });
    this.session = new GdbSession(this.target, {
      send: (bytes) => this.#sent.push(...bytes),
      ended: () => (this.ended = true),
    });
    expect(this.ask("QStartNoAckMode")).toBe("OK");
  }

  /** What came since the last call, as it is on the line. */
  sent(): string {
    const text = textOfBytes(Uint8Array.from(this.#sent));
    this.#sent = [];
    return text;
  }

  /** The contents of the packets that came. */
  answers(): string[] {
    const reader = new PacketReader();
    const events = [...reader.read(bytesOfText(this.sent()))];
    return events.flatMap((event) => (event.kind === "packet" ? [textOfBytes(event.data)] : []));
  }

  ask(packet: string): string | undefined {
    this.session.receive(framePacket(packet));
    return this.answers().at(-1);
  }

  /** Sends a packet that makes the guest run, and runs it until it is held or at its end. */
  go(packet: string): string | undefined {
    this.session.receive(framePacket(packet));
    for (let slices = 0; slices < 100; slices++) {
      const { reason } = this.target.run(this.pc.cycle + 1000);
      if (reason !== "cycle") break;
    }
    return this.answers().at(-1);
  }

  register(name: "eax" | "eip" | "esp"): number {
    const number = { eax: 0, esp: 4, eip: 8 }[name];
    const bytes = bytesOfHex(this.ask(`p${hexadecimal(number)}`)!)!;
    return new DataView(bytes.buffer).getUint32(0, true);
  }
}

const word = (value: number) => hexOfBytes(Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24));
const hex = (value: number) => hexadecimal(value);

describe("the conversation", () => {
  it("acknowledges until told not to, and repeats what was not understood", () => {
    const pc = new PentiumPc({ memory: 2 * 2 ** 20 });
    program(pc);
    let sent = "";
    const session = new GdbSession(new PentiumTarget(pc), {
      send: (bytes) => (sent += textOfBytes(bytes)),
      ended: () => {},
    });
    session.receive(bytesOfText("$qC#b4"));
    expect(sent).toBe(`+${textOfBytes(framePacket(`QC${THREAD}`))}`);
    sent = "";
    session.receive(bytesOfText("-"));
    expect(sent).toBe(textOfBytes(framePacket(`QC${THREAD}`)));
    sent = "";
    session.receive(bytesOfText("$qC#00"));
    expect(sent).toBe("-");
    sent = "";
    session.receive(framePacket("QStartNoAckMode"));
    session.receive(framePacket("?"));
    expect(sent).toBe(`+$OK#9a${textOfBytes(framePacket(`T05thread:${THREAD};`))}`);
  });

  it("tells what it can and answers what it does not know with nothing", () => {
    const gdb = new Conversation();
    const features = gdb.ask("qSupported:swbreak+;hwbreak+;xmlRegisters=i386")!;
    for (const feature of ["PacketSize=4000", "swbreak+", "hwbreak+", "qXfer:features:read+"]) {
      expect(features.split(";")).toContain(feature);
    }
    expect(gdb.ask("vMustReplyEmpty")).toBe("");
    expect(gdb.ask("qNobodyKnows")).toBe("");
    expect(gdb.ask("j")).toBe("");
    expect(gdb.ask("qAttached")).toBe("1");
    expect(gdb.ask("vCont?")).toBe("vCont;c;C;s;S");
  });

  it("describes the registers that it sends, in pieces of any size", () => {
    const gdb = new Conversation();
    let document = "";
    for (;;) {
      const part = gdb.ask(`qXfer:features:read:target.xml:${hex(document.length)},100`)!;
      document += textOfBytes(bytesOfText(part.slice(1)));
      if (part[0] === "l") break;
    }
    const sizes = [...document.matchAll(/<reg [^>]*bitsize="(\d+)"/g)].map(([, bits]) => Number(bits) / 8);
    expect(sizes).toEqual(registerSizes);
    expect(gdb.ask("g")!.length).toBe(2 * sizes.reduce((sum, size) => sum + size, 0));
    expect(gdb.ask("qXfer:features:read:other.xml:0,100")).toBe("E00");
  });

  it("reads and writes registers and memory", () => {
    const gdb = new Conversation();
    expect(gdb.register("eip")).toBe(CODE);
    expect(gdb.ask(`P0=${word(0x1234_5678)}`)).toBe("OK");
    expect(gdb.register("eax")).toBe(0x1234_5678);
    const all = gdb.ask("g")!;
    expect(gdb.ask(`G${word(7)}${all.slice(8)}`)).toBe("OK");
    expect(gdb.register("eax")).toBe(7);
    // ST0 = 1.0 with a tag that says so.
    expect(gdb.ask("P10=0000000000000080ff3f")).toBe("OK");
    expect(gdb.ask("p10")).toBe("0000000000000080ff3f");
    expect(gdb.ask("P0=12")).toBe("E16");
    expect(gdb.ask("p99")).toBe("E16");

    expect(gdb.ask(`M${hex(OTHER)},4:01020304`)).toBe("OK");
    expect(gdb.ask(`m${hex(OTHER)},4`)).toBe("01020304");
    gdb.session.receive(framePacket(`X${hex(OTHER)},2:}\x03#`.replace("#", "A")));
    expect(gdb.ask(`m${hex(OTHER)},4`)).toBe("23410304");
    expect(gdb.ask(`M${hex(OTHER)},4:0102`)).toBe("E16");
  });

  it("refuses addresses without memory, and cuts what ends in the middle", () => {
    const gdb = new Conversation();
    expect(gdb.ask("mfffff000,4")).toBe("E14");
    expect(gdb.ask("Mfffff000,4:00000000")).toBe("E14");
    expect(gdb.ask("m1fffff,8")).toBe("00");
  });

  it("steps one instruction at a time", () => {
    const gdb = new Conversation();
    expect(gdb.ask("s")).toBe(`T05thread:${THREAD};`);
    expect(gdb.register("esp")).toBe(0x2_0000);
    expect(gdb.ask(`vCont;s:${THREAD};c`)).toBe(`T05thread:${THREAD};`);
    expect(gdb.register("eip")).toBe(gdb.at("loop"));
  });

  it("stops at breakpoints without touching memory, and goes on from them", () => {
    const gdb = new Conversation();
    gdb.ask("qSupported:swbreak+;hwbreak+");
    const before = gdb.ask(`m${hex(gdb.at("after"))},8`);
    expect(gdb.ask(`Z0,${hex(gdb.at("after"))},1`)).toBe("OK");
    expect(gdb.ask(`m${hex(gdb.at("after"))},8`)).toBe(before);
    expect(gdb.go("c")).toBe(`T05swbreak:;thread:${THREAD};`);
    expect(gdb.register("eip")).toBe(gdb.at("after"));
    expect(gdb.register("eax")).toBe(1);
    gdb.go("vCont;c");
    expect(gdb.register("eax")).toBe(2);
    expect(gdb.ask(`z0,${hex(gdb.at("after"))},1`)).toBe("OK");
    expect(gdb.ask(`Z1,${hex(gdb.at("subroutine"))},1`)).toBe("OK");
    expect(gdb.go("c")).toBe(`T05hwbreak:;thread:${THREAD};`);
    expect(gdb.register("eax")).toBe(3);
    expect(gdb.ask(`z1,${hex(gdb.at("subroutine"))},1`)).toBe("OK");
    expect(gdb.go("c")).toBe("W05");
  });

  it.each([
    ["Z2", COUNTER, "watch", "call"],
    ["Z3", OTHER, "rwatch", undefined],
    ["Z4", OTHER, "awatch", undefined],
  ])("%s stops behind the access", (packet, address, name, place) => {
    const gdb = new Conversation();
    expect(gdb.ask(`${packet},${hex(address)},4`)).toBe("OK");
    expect(gdb.go("c")).toBe(`T05${name}:${hex(address)};thread:${THREAD};`);
    if (place) expect(gdb.register("eip")).toBe(gdb.at(place));
    else expect(gdb.register("eip")).toBeGreaterThan(gdb.at("subroutine"));
    expect(gdb.ask(`${packet.toLowerCase()},${hex(address)},4`)).toBe("OK");
    expect(gdb.go("c")).toBe("W05");
  });

  it("a write watchpoint does not see reads", () => {
    const gdb = new Conversation();
    gdb.ask(`Z2,${hex(OTHER)},4`);
    expect(gdb.go("c")).toBe("W05");
  });

  it("is interrupted by Ctrl-C, only while it runs", () => {
    const gdb = new Conversation();
    gdb.session.receive(Uint8Array.of(3));
    expect(gdb.sent()).toBe("");
    gdb.session.receive(framePacket("c"));
    gdb.target.run(gdb.pc.cycle + 10);
    gdb.session.receive(framePacket("?"));
    expect(gdb.sent()).toBe("");
    gdb.session.receive(Uint8Array.of(3));
    // The stop, and what was asked meanwhile.
    expect(gdb.answers()).toEqual([`T02thread:${THREAD};`, `T02thread:${THREAD};`]);
    expect(gdb.target.run(gdb.pc.cycle + 10).reason).toBe("held");
  });

  it("detaches: breakpoints go, the guest goes on", () => {
    const gdb = new Conversation();
    gdb.ask(`Z0,${hex(gdb.at("after"))},1`);
    expect(gdb.ask("D")).toBe("OK");
    expect(gdb.ended).toBe(true);
    expect(gdb.target.run(1_000_000)).toMatchObject({ reason: "exit", status: 5 });
  });

  it("a lost connection detaches, a kill ends the guest", () => {
    const lost = new Conversation();
    lost.session.closed();
    expect(lost.target.run(1_000_000)).toMatchObject({ reason: "exit" });
    const killed = new Conversation();
    killed.session.receive(framePacket("k"));
    expect(killed.quit).toBe(true);
  });

  it("has the processor as a thread of its own where there are no others", () => {
    const gdb = new Conversation();
    expect(gdb.ask("qfThreadInfo")).toBe(`m${THREAD}`);
    expect(gdb.ask("qsThreadInfo")).toBe("l");
    expect(gdb.ask(`T${THREAD}`)).toBe("OK");
    expect(gdb.ask("T5")).toBe("E03");
    expect(gdb.ask("Hg5")).toBe("E03");
    expect(gdb.ask("Hg0")).toBe("OK");
    expect(gdb.ask("qXfer:threads:read::0,1000")).toContain(`id="${THREAD}" name="processor"`);
    expect(textOfBytes(bytesOfHex(gdb.ask(`qThreadExtraInfo,${THREAD}`)!)!)).toBe("processor: ring 0");
  });

  it("carries out the monitor's commands", () => {
    const gdb = new Conversation();
    const monitor = (command: string) => {
      gdb.session.receive(framePacket(`qRcmd,${hexOfBytes(bytesOfText(command))}`));
      const answers = gdb.answers();
      expect(answers.pop()).toBe("OK");
      return answers.map((part) => textOfBytes(bytesOfHex(part.slice(1))!)).join("");
    };
    expect(monitor("help")).toMatch(/monitor phys/);
    expect(monitor("system")).toMatch(/cr0 00000011/);
    expect(monitor("stats")).toMatch(/^instructions +0$/m);
    expect(monitor("ps")).toMatch(/only of Rialto's kernel/);
    expect(monitor(`phys ${COUNTER} = 41424344`)).toMatch(/4 bytes written/);
    expect(monitor("phys 0x30000 16")).toMatch(/^00030000 {2}41 42 43 44 00 .*ABCD\./);
    expect(monitor("phys 0xffff0000")).toMatch(/not RAM/);
    expect(monitor("translate 0x30000")).toMatch(/physical 00030000/);
    expect(monitor("nonsense")).toMatch(/no command 'nonsense'/);
  });

  it("keeps its head when packets make no sense", () => {
    const gdb = new Conversation();
    for (const packet of [
      "m",
      "mzz,4",
      "M1",
      "M10000",
      "P",
      "Pzz=1",
      "Z0",
      "Z9,0,1",
      "Hgzz",
      "vCont;",
      "vCont;x",
      "G0",
      "X,",
    ]) {
      expect(gdb.ask(packet), packet).toMatch(/^(E\d\d)?$/);
    }
    expect(gdb.register("eip")).toBe(CODE);
  });
});

describe("determinism", () => {
  const plain = new PentiumPc({ memory: 2 * 2 ** 20 });
  program(plain);
  plain.run(1_000_000);
  const expected = [plain.cycle, plain.instructions, plain.stateHash()];

  it("stepping through a run does not change it", () => {
    const gdb = new Conversation();
    let last = "";
    for (let steps = 0; steps < 100 && last[0] !== "W"; steps++) last = gdb.ask("s")!;
    expect(last).toBe("W05");
    expect([gdb.pc.cycle, gdb.pc.instructions, gdb.pc.stateHash()]).toEqual(expected);
  });

  it("breakpoints and watchpoints do not change a run", () => {
    const gdb = new Conversation();
    gdb.ask(`Z0,${hex(gdb.at("after"))},1`);
    gdb.ask(`Z2,${hex(COUNTER)},4`);
    gdb.ask(`Z3,${hex(OTHER)},4`);
    let stops = 0;
    while (gdb.go("c")![0] === "T") stops++;
    expect(stops).toBe(15);
    expect([gdb.pc.cycle, gdb.pc.instructions, gdb.pc.stateHash()]).toEqual(expected);
  });
});

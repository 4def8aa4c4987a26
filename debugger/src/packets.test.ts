/** Framing against the manual's examples, and that any cut of any bytes reads back. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  bytesOfHex,
  bytesOfText,
  escapeBinary,
  framePacket,
  hexOfBytes,
  LONGEST_PACKET,
  type PacketEvent,
  PacketReader,
  textOfBytes,
  unescapeBinary,
} from "./packets.ts";

function read(...pieces: readonly (string | Uint8Array)[]): PacketEvent[] {
  const reader = new PacketReader();
  return pieces.flatMap((piece) => [...reader.read(typeof piece === "string" ? bytesOfText(piece) : piece)]);
}

describe("packets", () => {
  it("carry their sum modulo 256", () => {
    expect(textOfBytes(framePacket("g"))).toBe("$g#67");
    expect(textOfBytes(framePacket("OK"))).toBe("$OK#9a");
    expect(textOfBytes(framePacket(""))).toBe("$#00");
  });

  it("are read between acknowledgements and interrupts", () => {
    expect(read("+$g#67-\x03")).toEqual([
      { kind: "acknowledged" },
      { kind: "packet", data: bytesOfText("g") },
      { kind: "rejected" },
      { kind: "interrupt" },
    ]);
  });

  it("with a wrong sum, or too long, are damaged; the next one is not", () => {
    expect(read("$g#68$g#67").map(({ kind }) => kind)).toEqual(["damaged", "packet"]);
    const long = framePacket("x".repeat(LONGEST_PACKET + 1));
    expect(read(long, "$g#67").map(({ kind }) => kind)).toEqual(["damaged", "packet"]);
  });

  it("start anew at a dollar sign", () => {
    expect(read("$gg$g#67")).toEqual([{ kind: "packet", data: bytesOfText("g") }]);
  });

  it("read back whole, however they are cut", () => {
    const text = fc.string({ maxLength: 60 }).map((value) => value.replace(/[^ -~]|[#$]/g, "x"));
    fc.assert(
      fc.property(text, fc.nat(70), (value, cut) => {
        const bytes = framePacket(value);
        expect(read(bytes.subarray(0, cut), bytes.subarray(cut))).toEqual([
          { kind: "packet", data: bytesOfText(value) },
        ]);
      }),
    );
  });

  it("carry any bytes in binary and in hexadecimal", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 50 }), (bytes) => {
        const escaped = escapeBinary(textOfBytes(bytes));
        expect(escaped).not.toMatch(/[#$*]/);
        expect(unescapeBinary(bytesOfText(escaped))).toEqual(bytes);
        expect(bytesOfHex(hexOfBytes(bytes))).toEqual(bytes);
      }),
    );
    expect(bytesOfHex("abc")).toBeUndefined();
    expect(bytesOfHex("zz")).toBeUndefined();
  });
});

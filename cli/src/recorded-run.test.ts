/** Recordings and snapshots as the commands use them: files, sessions, and what the user is told. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import { echoKernel } from "@rialto/machine/test/echo-kernel.ts";
import { afterAll, describe, expect, it } from "vitest";
import { UsageError, UserError } from "./errors.ts";
import { openRecordedRun } from "./recorded-run.ts";
import { parseRecordingFlags, type RecordingRequest } from "./recorded-run-flags.ts";
import { Session, type SessionEnd, type SessionInput } from "./session.ts";
import { parseSnapshotFlags } from "./snapshot-flags.ts";

const folder = mkdtempSync(join(tmpdir(), "rialto-recording-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const START = { kernel: echoKernel(), modules: [], commandLine: "" };

/** Somebody who types a character now and then, by the wall clock. */
function typist(text: string): SessionInput {
  let timer: NodeJS.Timeout | undefined;
  return {
    start(listener) {
      let at = 0;
      timer = setInterval(() => {
        listener.bytes(Uint8Array.of(text.charCodeAt(at++)));
        if (at < text.length) return;
        clearInterval(timer);
        listener.ended();
      }, 7);
    },
    stop: () => clearInterval(timer),
  };
}

async function run(
  request: RecordingRequest,
  input: SessionInput,
): Promise<{ readonly end: SessionEnd; readonly text: string; readonly hash: string }> {
  const text: number[] = [];
  let session: Session | undefined;
  const pc = new PentiumPc({ memory: 3 * 2 ** 20, serialOutput: (byte) => session?.serialOutput(byte) });
  pc.loadMultiboot(START.kernel, START);
  const recorded = openRecordedRun(pc, START, request);
  session = new Session(recorded.machine, input, {
    write: (bytes) => void text.push(...bytes),
    flush: async () => {},
  });
  recorded.started(session);
  try {
    return { end: await session.run(), text: String.fromCharCode(...text), hash: pc.stateHash() };
  } finally {
    recorded.close();
  }
}

describe("recorded sessions", () => {
  const file = join(folder, "run.jsonl");

  it("what was typed by the wall clock is replayed by the machine's", async () => {
    const recorded = await run({ record: file, hashEvery: 1_000_000 }, typist("typed by hand."));
    expect(recorded.text).toBe("typed by hand.");
    const replayed = await run({ replay: file, hashEvery: 0 }, typist("something else"));
    expect(replayed).toEqual(recorded);
  });

  it("a changed recording ends the run with its cycle", async () => {
    const changed = join(folder, "changed.jsonl");
    writeFileSync(changed, readFileSync(file, "utf8").replace(/"serial":"../, '"serial":"21'));
    await expect(run({ replay: changed, hashEvery: 0 }, typist("x"))).rejects.toThrow(
      /changed\.jsonl: the replay departs from the recording at cycle \d+/,
    );
  });

  it("a file that is none is the user's error", async () => {
    const none = join(folder, "none");
    await expect(run({ replay: none, hashEvery: 0 }, typist("x"))).rejects.toThrow(UserError);
    writeFileSync(none, "nothing of the kind\n");
    await expect(run({ replay: none, hashEvery: 0 }, typist("x"))).rejects.toThrow(/not a recording/);
  });
});

describe("flags", () => {
  it("that contradict or lack each other are refused", () => {
    expect(() => parseRecordingFlags({ record: "a", replay: "b" })).toThrow(UsageError);
    expect(() => parseRecordingFlags({ hashEvery: "5000" })).toThrow(UsageError);
    for (const hashEvery of ["", "0", "-1", "x", "1.5", "999"]) {
      expect(() => parseRecordingFlags({ record: "a", hashEvery })).toThrow(UsageError);
    }
    expect(() => parseSnapshotFlags({ snapshotAfter: "1" })).toThrow(UsageError);
    expect(() => parseSnapshotFlags({ snapshot: "a", snapshotAfter: "soon" })).toThrow(UsageError);
  });

  it("that fit are taken", () => {
    expect(parseRecordingFlags({})).toBeUndefined();
    expect(parseRecordingFlags({ record: "a", hashEvery: "1000" })).toMatchObject({
      record: "a",
      hashEvery: 1000,
    });
    expect(parseSnapshotFlags({ snapshot: "a", snapshotAfter: "0.5" })).toEqual({ file: "a", after: 0.5 });
  });
});

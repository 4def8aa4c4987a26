import { describe, expect, it } from "vitest";
import {
  describeEnd,
  type InputListener,
  Session,
  type SessionInput,
  type SessionMachine,
  type SessionOutput,
  type SliceResult,
} from "./session.ts";
import { EscapeFilter } from "./standard-streams.ts";

const FREQUENCY = 1_000_000;

/** A machine that is idle or busy all the time and ends when told by its input. */
class FakeMachine implements SessionMachine {
  readonly frequency = FREQUENCY;
  cycle = 0;
  idleCycles = 0;
  received = "";
  readonly #idle: boolean;
  readonly #result: (machine: FakeMachine) => SliceResult;

  constructor(idle: boolean, result: (machine: FakeMachine) => SliceResult) {
    this.#idle = idle;
    this.#result = result;
  }

  run(untilCycle: number): SliceResult {
    if (this.#idle) this.idleCycles += untilCycle - this.cycle;
    this.cycle = untilCycle;
    return this.#result(this);
  }

  serialInput(bytes: Uint8Array): void {
    this.received += new TextDecoder().decode(bytes);
  }

  networkInput(frame: Uint8Array): void {
    this.received += `frame ${frame[0]} at ${this.cycle}. `;
  }
}

class FakeInput implements SessionInput {
  listener: InputListener | undefined;
  stopped = false;
  readonly #atStart: ((listener: InputListener) => void) | undefined;

  constructor(atStart?: (listener: InputListener) => void) {
    this.#atStart = atStart;
  }

  start(listener: InputListener): void {
    this.listener = listener;
    this.#atStart?.(listener);
  }

  stop(): void {
    this.stopped = true;
  }
}

class FakeOutput implements SessionOutput {
  text = "";
  flushed = false;

  write(bytes: Uint8Array): void {
    this.text += new TextDecoder().decode(bytes);
  }

  async flush(): Promise<void> {
    this.flushed = true;
  }
}

const noInput = () => new FakeInput((listener) => listener.ended());
const endAfter =
  (cycles: number) =>
  (machine: FakeMachine): SliceResult =>
    machine.cycle >= cycles ? { reason: "power-off" } : { reason: "cycle" };

describe("session", () => {
  it("runs an idle guest without input as fast as it can", async () => {
    const machine = new FakeMachine(true, endAfter(10 * FREQUENCY));
    const start = performance.now();
    await new Session(machine, noInput(), new FakeOutput()).run();
    expect(performance.now() - start).toBeLessThan(5000);
    expect(machine.cycle).toBe(10 * FREQUENCY);
  });

  it("holds an idle guest back to wall time while input may come", async () => {
    const machine = new FakeMachine(true, endAfter(0.3 * FREQUENCY));
    const start = performance.now();
    await new Session(machine, new FakeInput(), new FakeOutput()).run();
    expect(performance.now() - start).toBeGreaterThan(250);
  });

  it("never holds a busy guest back", async () => {
    const machine = new FakeMachine(false, endAfter(10 * FREQUENCY));
    const start = performance.now();
    await new Session(machine, new FakeInput(), new FakeOutput()).run();
    expect(performance.now() - start).toBeLessThan(5000);
  });

  it("delivers input at once, in order, and wakes a guest that waits for it", async () => {
    const input = new FakeInput();
    const machine = new FakeMachine(true, ({ received }) =>
      received.endsWith(".") ? { reason: "exit", status: 9, device: "monitor" } : { reason: "waiting" },
    );
    const running = new Session(machine, input, new FakeOutput()).run();
    for (const word of ["one ", "two."]) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      input.listener!.bytes(new TextEncoder().encode(word));
    }
    expect(await running).toEqual({ reason: "exit", status: 9, device: "monitor" });
    expect(machine.received).toBe("one two.");
    expect(input.stopped).toBe(true);
  });

  it("ends a guest that waits for input that cannot come", async () => {
    const machine = new FakeMachine(true, () => ({ reason: "waiting" }));
    expect(await new Session(machine, noInput(), new FakeOutput()).run()).toEqual({ reason: "halted" });
  });

  it("writes the last output before it returns", async () => {
    const output = new FakeOutput();
    const machine = new FakeMachine(false, () => {
      for (const byte of new TextEncoder().encode("bye")) session.serialOutput(byte);
      return { reason: "reset" };
    });
    const session = new Session(machine, noInput(), output);
    await session.run();
    expect(output).toMatchObject({ text: "bye", flushed: true });
  });

  it("leaves when the user wants to, even from a waiting guest", async () => {
    const input = new FakeInput();
    const machine = new FakeMachine(true, () => ({ reason: "waiting" }));
    const running = new Session(machine, input, new FakeOutput()).run();
    setTimeout(() => input.listener!.quit("enough", 3), 5);
    expect(describeEnd(await running)).toEqual({ status: 3, message: "enough" });
  });

  it("keeps frames while a debugger holds the machine, and gives them when it goes on", async () => {
    let held = true;
    const machine = new FakeMachine(false, ({ received }) =>
      held ? { reason: "held" } : received === "" ? { reason: "cycle" } : { reason: "power-off" },
    );
    const session = new Session(machine, new FakeInput(), new FakeOutput());
    setTimeout(() => session.networkInput(Uint8Array.of(1)), 10);
    setTimeout(() => session.networkInput(Uint8Array.of(2)), 20);
    setTimeout(() => {
      expect(machine.received).toBe("");
      held = false;
      session.wake();
    }, 40);
    expect(await session.run()).toEqual({ reason: "power-off" });
    expect(machine.received).toMatch(/^frame 1 at (\d+)\. frame 2 at \1\. $/);
  });
});

describe("terminal escapes", () => {
  const filter = (...typed: string[]) => {
    const escapes = new EscapeFilter();
    let quits = 0;
    const sent = typed.map((part) =>
      new TextDecoder().decode(
        escapes.filter(new TextEncoder().encode(part), () => {
          quits++;
        }),
      ),
    );
    return { sent: sent.join("|"), quits };
  };

  it("Ctrl-C goes to the guest, Ctrl-A x leaves, Ctrl-A Ctrl-A is Ctrl-A", () => {
    expect(filter("a\x03b")).toEqual({ sent: "a\x03b", quits: 0 });
    expect(filter("a\x01xb")).toEqual({ sent: "ab", quits: 1 });
    expect(filter("\x01\x01x")).toEqual({ sent: "\x01x", quits: 0 });
    expect(filter("a\x01", "x")).toEqual({ sent: "a|", quits: 1 });
  });
});

describe("exit status", () => {
  it.each([
    [{ reason: "exit", status: 7, device: "debug-exit" } as const, 7, false],
    [{ reason: "power-off" } as const, 0, false],
    [{ reason: "reset" } as const, 0, true],
    [{ reason: "shutdown" } as const, 1, true],
    [{ reason: "halted" } as const, 1, true],
  ])("%o", (end, status, explained) => {
    const described = describeEnd(end);
    expect(described.status).toBe(status);
    expect(described.message !== undefined).toBe(explained);
  });
});

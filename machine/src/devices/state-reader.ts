/**
 * Reads a device's state back, as `state()` gave it and a snapshot kept it. A snapshot is a file and may hold anything: every value is
 * checked for its type and range before a device takes it, and a wrong one is a `StateError` that names its place. A device reads
 * all it needs before it changes itself.
 */
import type { ClockEvent, SavedEvent } from "../contract.ts";
import type { StateValue } from "./ports.ts";

export class StateError extends Error {
  constructor(place: string, problem: string) {
    super(`${place}: ${problem}`);
    this.name = "StateError";
  }
}

/** A pending event as state: its cycle, and its place among all that were ever scheduled. */
export function eventState(event: ClockEvent | undefined): StateValue {
  return event ? [event.cycle, event.order] : null;
}

/** An event may wait for the end of an instruction; none takes so many cycles. */
const LATEST = 100_000;

type Fields = Readonly<Record<string, unknown>>;

function isCountUpTo(value: unknown, most: number): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && value <= most;
}

export class StateReader {
  readonly #fields: Fields;
  readonly #place: string;

  /** `place` names the value in errors. */
  constructor(state: unknown, place: string) {
    if (typeof state !== "object" || state === null || Array.isArray(state))
      throw new StateError(place, "it is no object");
    this.#fields = state as Fields;
    this.#place = place;
  }

  #fail(name: string, problem: string): never {
    throw new StateError(`${this.#place}.${name}`, problem);
  }

  /** Own fields only: a file must not reach the prototype. */
  value(name: string): unknown {
    return Object.hasOwn(this.#fields, name) ? this.#fields[name] : undefined;
  }

  /** A whole number, 0 to `most`. */
  number(name: string, most = Number.MAX_SAFE_INTEGER): number {
    const value = this.value(name);
    return isCountUpTo(value, most) ? value : this.#fail(name, `it is no number from 0 to ${most}`);
  }

  /** Undefined where the state has null. */
  optionalNumber(name: string, most?: number): number | undefined {
    return this.value(name) === null ? undefined : this.number(name, most);
  }

  /** A whole number of either sign. */
  integer(name: string): number {
    const value = this.value(name);
    return typeof value === "number" && Number.isSafeInteger(value)
      ? value
      : this.#fail(name, "it is no whole number");
  }

  flag(name: string): boolean {
    const value = this.value(name);
    return typeof value === "boolean" ? value : this.#fail(name, "it is neither true nor false");
  }

  text(name: string): string {
    const value = this.value(name);
    return typeof value === "string" ? value : this.#fail(name, "it is no text");
  }

  list(name: string): readonly unknown[] {
    const value = this.value(name);
    return Array.isArray(value) ? value : this.#fail(name, "it is no list");
  }

  #listOf(name: string, length: number): readonly unknown[] {
    const list = this.list(name);
    return list.length === length
      ? list
      : this.#fail(name, `it has ${list.length} elements where ${length} belong`);
  }

  /** Exactly as many whole numbers as there are upper bounds. */
  numbers(name: string, ...most: readonly number[]): number[] {
    const list = this.#listOf(name, most.length);
    return most.map((bound, i) => {
      const value = list[i];
      return isCountUpTo(value, bound)
        ? value
        : this.#fail(`${name}[${i}]`, `it is no number from 0 to ${bound}`);
    });
  }

  optionalNumbers(name: string, ...most: readonly number[]): (number | undefined)[] {
    const list = this.#listOf(name, most.length);
    return most.map((bound, i) => {
      const value = list[i];
      if (value === null) return undefined;
      return isCountUpTo(value, bound)
        ? value
        : this.#fail(`${name}[${i}]`, `it is no number from 0 to ${bound}`);
    });
  }

  /** Exactly `length` signed 32-bit words. */
  words(name: string, length: number): Int32Array {
    const list = this.#listOf(name, length);
    if (!list.every((value) => typeof value === "number" && (value | 0) === value))
      this.#fail(name, "it holds something that is no 32-bit word");
    return Int32Array.from(list as readonly number[]);
  }

  flags(name: string, length: number): boolean[] {
    const list = this.#listOf(name, length);
    return list.every((value) => typeof value === "boolean")
      ? [...list]
      : this.#fail(name, "it holds something that is neither true nor false");
  }

  /** At most `most` bytes; exactly that many when `exactly` says so. */
  bytes(name: string, most: number, exactly: "exactly" | "at most" = "at most"): number[] {
    const list = exactly === "exactly" ? this.#listOf(name, most) : this.list(name);
    if (list.length > most) this.#fail(name, `it has ${list.length} bytes where ${most} fit`);
    return list.map((value, i) =>
      isCountUpTo(value, 0xff) ? value : this.#fail(`${name}[${i}]`, "it is no byte"),
    );
  }

  object(name: string): StateReader {
    return new StateReader(this.value(name), `${this.#place}.${name}`);
  }

  objects(name: string, length?: number): StateReader[] {
    const list = length === undefined ? this.list(name) : this.#listOf(name, length);
    return list.map((value, i) => new StateReader(value, `${this.#place}.${name}[${i}]`));
  }

  #event(value: unknown, name: string, now: number): SavedEvent | undefined {
    if (value === null) return undefined;
    if (
      !Array.isArray(value) ||
      value.length !== 2 ||
      !value.every((each) => isCountUpTo(each, Number.MAX_SAFE_INTEGER))
    )
      this.#fail(name, "it is no event");
    const [cycle, order] = value as [number, number];
    if (cycle < now - LATEST) this.#fail(name, `its cycle ${cycle} is over: the machine stands at ${now}`);
    return { cycle, order };
  }

  /** What `eventState` gave; not long before cycle `now`. */
  event(name: string, now: number): SavedEvent | undefined {
    return this.#event(this.value(name), name, now);
  }

  events(name: string, length: number, now: number): (SavedEvent | undefined)[] {
    return this.#listOf(name, length).map((value, i) => this.#event(value, `${name}[${i}]`, now));
  }
}

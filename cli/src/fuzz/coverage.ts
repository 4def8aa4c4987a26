/**
 * Which parts of our own sources ran: V8's block coverage, through the inspector of this process. V8 joins blocks of equal counts, so
 * that ranges are no names of blocks: what is kept is which characters of each function ran.
 */
import { type Profiler, Session } from "node:inspector";

export class Coverage {
  readonly #session = new Session();
  readonly #sources: RegExp;
  /** By script and function: 1 for each character that ran. */
  readonly #ran = new Map<string, Uint8Array>();
  #total = 0;

  /** `sources`: what the paths of the files that count match. */
  constructor(sources: RegExp) {
    this.#sources = sources;
    this.#session.connect();
    this.#session.post("Profiler.enable");
    this.#session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  /** How many characters ran since the last call that never ran before. */
  gained(): number {
    const before = this.#total;
    // An inspector of the own process answers at once.
    this.#session.post("Profiler.takePreciseCoverage", (error, answer) => {
      if (error) throw error;
      for (const { url, scriptId, functions } of answer.result) {
        if (!this.#sources.test(url)) continue;
        for (const { ranges } of functions) if (ranges[0].count > 0) this.#add(scriptId, ranges);
      }
    });
    return this.#total - before;
  }

  /** Ranges come with those inside of them behind them. */
  #add(scriptId: string, ranges: readonly Profiler.CoverageRange[]): void {
    const [{ startOffset, endOffset }] = ranges;
    const key = `${scriptId} ${startOffset}`;
    const now = new Uint8Array(endOffset - startOffset);
    for (const { startOffset: start, endOffset: end, count } of ranges) {
      now.fill(count > 0 ? 1 : 0, start - startOffset, end - startOffset);
    }
    const ran = this.#ran.get(key) ?? new Uint8Array(now.length);
    this.#ran.set(key, ran);
    for (let at = 0; at < now.length; at++) {
      if (now[at] <= ran[at]) continue;
      ran[at] = 1;
      this.#total++;
    }
  }

  /** Characters of the sources that ran at least once. */
  get characters(): number {
    return this.#total;
  }

  close(): void {
    this.#session.disconnect();
  }
}

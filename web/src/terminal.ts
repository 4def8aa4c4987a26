/** The console's text as a page shows it: a carriage return alone does nothing, a backspace takes the last character of the line. */
const MOST_CHARACTERS = 200_000;

export class ConsoleText {
  readonly #decoder = new TextDecoder();
  #text = "";

  /** Adds what the guest sent; returns all of the text. */
  add(bytes: Uint8Array): string {
    for (const character of this.#decoder.decode(bytes, { stream: true })) {
      if (character === "\b") {
        if (!this.#text.endsWith("\n")) this.#text = this.#text.slice(0, -1);
      } else if (character !== "\r") this.#text += character;
    }
    if (this.#text.length > MOST_CHARACTERS) this.#text = this.#text.slice(-MOST_CHARACTERS / 2);
    return this.#text;
  }
}

/** Bytes that a terminal sends for a key; undefined for keys that it has none for. */
export function bytesOfKey(key: string, control: boolean): Uint8Array | undefined {
  const special: Readonly<Record<string, number>> = { Enter: 13, Backspace: 127, Tab: 9, Escape: 27 };
  const code = special[key];
  if (code !== undefined) return Uint8Array.of(code);
  if (control && /^[a-z]$/i.test(key)) return Uint8Array.of(key.toUpperCase().charCodeAt(0) - 64);
  return [...key].length === 1 && !control ? new TextEncoder().encode(key) : undefined;
}

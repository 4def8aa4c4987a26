/**
 * A source text under edits that keeps the way back: every offset of the rendered text has an original offset, so that
 * asc's messages and source map can be told in terms of what the programmer wrote. Edits may nest (an inner edit inside a
 * range that is only copied, not replaced), but must not overlap.
 */

interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  /** Original offset that stands for the new text. */
  readonly anchor: number;
  /** Debuggers are shown nothing for this text. */
  readonly hidden: boolean;
}

interface Piece {
  readonly rendered: number;
  readonly length: number;
  readonly original: number;
  readonly edit: Edit | undefined;
}

export interface OriginalPlace {
  readonly offset: number;
  readonly hidden: boolean;
}

export class EditedText {
  readonly original: string;
  private readonly edits: Edit[] = [];
  private pieces: Piece[] = [];
  private rendered: string | undefined;
  private renderedLines: number[] = [];

  constructor(original: string) {
    this.original = original;
  }

  /** Replaces a range. A newline of the range survives where the new text has none, so that lines stay where they were. */
  replace(
    start: number,
    end: number,
    text: string,
    options: { anchor?: number; hidden?: boolean } = {},
  ): void {
    const lost = countNewlines(this.original.slice(start, end)) - countNewlines(text);
    this.edits.push({
      start,
      end,
      text: lost > 0 ? text + "\n".repeat(lost) : text,
      anchor: options.anchor ?? start,
      hidden: options.hidden ?? false,
    });
    this.rendered = undefined;
  }

  insert(offset: number, text: string, options: { anchor?: number; hidden?: boolean } = {}): void {
    this.replace(offset, offset, text, options);
  }

  /** Appends text behind the last line, hidden from debuggers. */
  append(text: string, anchor = 0): void {
    this.insert(this.original.length, `\n${text}`, { anchor, hidden: true });
  }

  /** The text of an original range with the edits inside it applied, on one line. */
  sliceEdited(start: number, end: number): string {
    let out = "";
    let at = start;
    for (const edit of this.sorted()) {
      if (edit.start < at || edit.end > end) continue;
      out += this.original.slice(at, edit.start) + edit.text;
      at = edit.end;
    }
    return (out + this.original.slice(at, end)).replace(/\/\/[^\n]*/g, "").replace(/\n/g, " ");
  }

  render(): string {
    if (this.rendered !== undefined) return this.rendered;
    let out = "";
    let at = 0;
    this.pieces = [];
    for (const edit of this.sorted()) {
      if (edit.start < at) continue; // inside a range that another edit replaced
      if (edit.start > at) {
        this.pieces.push({ rendered: out.length, length: edit.start - at, original: at, edit: undefined });
        out += this.original.slice(at, edit.start);
      }
      if (edit.text.length > 0) {
        this.pieces.push({ rendered: out.length, length: edit.text.length, original: edit.anchor, edit });
        out += edit.text;
      }
      at = edit.end;
    }
    this.pieces.push({
      rendered: out.length,
      length: this.original.length - at,
      original: at,
      edit: undefined,
    });
    out += this.original.slice(at);
    this.rendered = out;
    this.renderedLines = lineStarts(out);
    return out;
  }

  /** Original place of an offset of the rendered text. */
  originalOf(renderedOffset: number): OriginalPlace {
    this.render();
    let low = 0;
    let high = this.pieces.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.pieces[middle]!.rendered <= renderedOffset) low = middle;
      else high = middle - 1;
    }
    const piece = this.pieces[low]!;
    return piece.edit
      ? { offset: piece.edit.anchor, hidden: piece.edit.hidden }
      : { offset: piece.original + (renderedOffset - piece.rendered), hidden: false };
  }

  /** Original place of a line and column (from 0) of the rendered text. */
  originalOfLine(line: number, column: number): OriginalPlace {
    this.render();
    return this.originalOf((this.renderedLines[line] ?? 0) + column);
  }

  private sorted(): Edit[] {
    // At one place insertions come first, in the order in which they were made; then the longest replacement.
    const rank = (edit: Edit): number =>
      edit.start === edit.end ? Number.MAX_SAFE_INTEGER : edit.end - edit.start;
    return [...this.edits].sort((a, b) => a.start - b.start || rank(b) - rank(a));
  }
}

function countNewlines(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count++;
  return count;
}

export function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

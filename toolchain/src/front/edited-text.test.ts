import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EditedText } from "./edited-text.ts";

describe("EditedText", () => {
  it("keeps lines where they were", () => {
    const text = new EditedText("a\nbb\nccc\nd");
    text.replace(2, 8, "X");
    expect(text.render()).toBe("a\nX\n\nd");
    expect(text.render().split("\n").length).toBe(4);
    expect(text.render().split("\n")[3]).toBe("d");
  });

  it("leads every kept character back to itself", () => {
    const edits = fc.array(
      fc.record({ gap: fc.nat(6), length: fc.nat(6), text: fc.stringMatching(/^[A-Z]{0,5}$/) }),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z \n]{0,80}$/), edits, (original, list) => {
        const text = new EditedText(original);
        const kept = new Set([...original].map((_, i) => i));
        let at = 0;
        for (const { gap, length, text: replacement } of list) {
          const start = at + gap + 1;
          if (start + length > original.length) break;
          text.replace(start, start + length, replacement);
          for (let i = start; i < start + length; i++) kept.delete(i);
          at = start + length;
        }
        const rendered = text.render();
        const seen = new Set<number>();
        for (let i = 0; i < rendered.length; i++) {
          const { offset } = text.originalOf(i);
          if (/[a-z ]/.test(rendered[i]!)) {
            expect(original[offset]).toBe(rendered[i]);
            seen.add(offset);
          }
        }
        for (const i of kept) if (original[i] !== "\n") expect(seen.has(i)).toBe(true);
        const newlines = (s: string) => s.split("\n").length;
        expect(newlines(rendered)).toBe(newlines(original));
      }),
      { numRuns: 200 },
    );
  });

  it("applies inner edits to a copied range", () => {
    const text = new EditedText("x = f(one, two); // note\ny");
    text.replace(6, 9, "1");
    expect(text.sliceEdited(4, 25)).toBe("f(1, two);  ");
  });
});

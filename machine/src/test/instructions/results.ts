/** Reads a result record: a sigcontext as Linux lays it out, or as the bare-metal harness stores it. */

export interface ResultContext {
  readonly registers: readonly number[];
  readonly vector: number;
  readonly errorCode: number;
  readonly eip: number;
  readonly eflags: number;
  readonly cr2: number;
  readonly cs: number;
  readonly ds: number;
  readonly es: number;
  readonly fs: number;
  readonly gs: number;
  readonly ss: number;
}

export function readContext(records: Uint8Array, offset: number): ResultContext {
  const view = new DataView(records.buffer, records.byteOffset + offset, 88);
  const word = (index: number): number => view.getUint32(index * 4, true);
  const selector = (index: number): number => view.getUint16(index * 4, true);
  return {
    registers: [word(11), word(10), word(9), word(8), word(17), word(6), word(5), word(4)],
    vector: word(12),
    errorCode: word(13),
    eip: word(14),
    eflags: word(16),
    cr2: word(21),
    ...{
      gs: selector(0),
      fs: selector(1),
      es: selector(2),
      ds: selector(3),
      cs: selector(15),
      ss: selector(18),
    },
  };
}

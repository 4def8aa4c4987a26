/**
 * Turns copies that happen at once (the phis of a block) into a sequence: a copy goes out when nobody still reads its
 * target; what remains are cycles, each broken with one temporary.
 */
export interface Copy<Source> {
  readonly to: number;
  from: Source;
}

export function sequence<Source>(
  copies: ReadonlyArray<Copy<Source>>,
  /** The place that a source reads, undefined for constants. */
  placeOf: (from: Source) => number | undefined,
  newPlace: () => number,
  sourceOf: (place: number) => Source,
  emit: (to: number, from: Source) => void,
): void {
  const constants = copies.filter((c) => placeOf(c.from) === undefined);
  let pending = copies
    .filter((c) => placeOf(c.from) !== undefined && placeOf(c.from) !== c.to)
    .map((c) => ({ ...c }));
  while (pending.length > 0) {
    const free = pending.findIndex(
      (c) => !pending.some((other) => other !== c && placeOf(other.from) === c.to),
    );
    if (free >= 0) {
      const [copy] = pending.splice(free, 1);
      emit(copy.to, copy.from);
      continue;
    }
    const blocked = pending[0];
    const temporary = newPlace();
    emit(temporary, sourceOf(blocked.to));
    pending = pending.map((c) =>
      placeOf(c.from) === blocked.to ? { to: c.to, from: sourceOf(temporary) } : c,
    );
  }
  for (const c of constants) emit(c.to, c.from);
}

/** What help says of `--stats`; apart from `statistics-file.ts`, so that help loads nothing of the machine. */
export const STATISTICS_HELP = `
--stats writes one JSON object with stable names:
  model, frequency, memory        cycle model, cycles a second, bytes of RAM
  instructions, cycles            { total, user, kernel, firstLevel, ring2, idle }
  traps                           { systemCalls, privateTraps, serverReturns, pageFaults, otherExceptions, interrupts }
  ringTransitions                 by kind, "3-1" being from ring 3 to ring 1
  tlbMisses                       { code4K, data4K, data4M }; also taskSwitches, segmentLoads, cr3Loads
  exceptions, softwareInterrupts, hardwareInterrupts    by vector
  caches                          misses, writeBacks, pairs, stalls: with --cycle-model detailed only
  counters                        the kernel's own: pages.*, stacks.*, threads.*, scratch.hits, heap.blocks, count.*, live.*
  phases                          by mark (the shell's command 'mark N'): { phase, name, cycle, counts since the mark before, counters }
cli/src/statistics-file.ts explains every name.
`;

/** Which registers each instruction reads and writes, and which are live at the ends of blocks. */
import {
  EBP,
  ESP,
  type MachineBlock,
  type MachineFunction,
  type MachineInstruction,
  rolesOf,
} from "./code.ts";

/** Registers of one instruction, in arrays that the next call of `scan` overwrites. */
export class RegisterScan {
  readonly uses: number[] = [];
  readonly definitions: number[] = [];
  /** Definitions that happen while uses are still to come. */
  readonly early: number[] = [];

  scan(i: MachineInstruction): void {
    const { uses, definitions, early } = this;
    uses.length = definitions.length = early.length = 0;
    const letters = rolesOf(i.op);
    for (let n = 0; n < i.operands.length; n++) {
      const operand = i.operands[n];
      if (operand.kind === "memory") {
        if (operand.base >= 0) this.use(operand.base);
        if (operand.index >= 0) this.use(operand.index);
      } else if (operand.kind === "register") {
        const id = operand.id;
        if (id === ESP || id === EBP) continue;
        switch (letters[n]) {
          case "d":
            definitions.push(id);
            break;
          case "e":
          case "t":
            definitions.push(id);
            early.push(id);
            break;
          case "m":
            uses.push(id);
            definitions.push(id);
            break;
          default:
            uses.push(id);
        }
      }
    }
    if ((i.reads | i.writes) !== 0) {
      for (let r = 0; r < 8; r++) {
        if (i.reads & (1 << r)) uses.push(r);
        if (i.writes & (1 << r)) definitions.push(r);
      }
    }
  }

  private use(id: number): void {
    if (id !== ESP && id !== EBP) this.uses.push(id);
  }
}

/** Bit sets of the registers live at the end of each block. */
export function liveAtEnd(f: MachineFunction): Map<MachineBlock, Uint32Array> {
  const words = (f.registerCount + 31) >>> 5;
  const scan = new RegisterScan();
  const index = new Map(f.blocks.map((block, n) => [block, n]));
  const count = f.blocks.length;
  const use: Uint32Array[] = [];
  const def: Uint32Array[] = [];
  for (const block of f.blocks) {
    const u = new Uint32Array(words);
    const d = new Uint32Array(words);
    for (const i of block.instructions) {
      scan.scan(i);
      for (const id of scan.uses) if (!(d[id >>> 5] & (1 << (id & 31)))) u[id >>> 5] |= 1 << (id & 31);
      for (const id of scan.definitions) d[id >>> 5] |= 1 << (id & 31);
    }
    use.push(u);
    def.push(d);
  }
  const liveIn = use.map((u) => u.slice());
  const liveOut = use.map(() => new Uint32Array(words));
  const next = f.blocks.map((block) => block.successors.map((b) => index.get(b)!));
  for (let changed = true; changed; ) {
    changed = false;
    for (let n = count - 1; n >= 0; n--) {
      const out = liveOut[n];
      const into = liveIn[n];
      for (const s of next[n]) {
        const from = liveIn[s];
        for (let w = 0; w < words; w++) out[w] |= from[w];
      }
      const u = use[n];
      const d = def[n];
      for (let w = 0; w < words; w++) {
        const value = (u[w] | (out[w] & ~d[w])) >>> 0;
        if (value !== into[w]) {
          into[w] = value;
          changed = true;
        }
      }
    }
  }
  return new Map(f.blocks.map((block, n) => [block, liveOut[n]]));
}

/**
 * Register assignment by iterated register coalescing (George and Appel, 1996): nodes of low degree are set aside,
 * moves are merged where a merge cannot make the graph harder (Briggs for two virtual registers, George where one is
 * fixed), and what remains is spilled by cost. `colour` does one round; `allocate.ts` inserts spill code and repeats.
 */
import { EAX, EBX, ECX, EDI, EDX, ESI, firstVirtual, isMove, type MachineFunction, rolesOf } from "./code.ts";
import { InterferenceGraph } from "./interference.ts";
import { liveAtEnd, RegisterScan } from "./liveness.ts";

/** In order of preference. EBP is the frame pointer. */
const colours: readonly number[] = [EAX, EDX, ECX, EBX, ESI, EDI];
const K = colours.length;
const withoutByte: readonly number[] = [ESI, EDI];

const state = {
  fixed: 0,
  simplify: 1,
  freeze: 2,
  spill: 3,
  spilled: 4,
  coalesced: 5,
  coloured: 6,
  stacked: 7,
} as const;

const moveState = { waiting: 0, active: 1, done: 2 } as const;

export interface Colouring {
  /** Fixed register of every virtual one; -1 for spilled ones. */
  readonly colours: Int32Array;
  /** Virtual registers to spill, those merged with each other together. */
  readonly spilled: ReadonlyArray<readonly number[]>;
}

/** `unspillable`: registers made by spilling, whose life is one instruction. */
export function colour(f: MachineFunction, unspillable: ReadonlySet<number>): Colouring {
  return new Colourer(f, unspillable).run();
}

class Colourer {
  private readonly f: MachineFunction;
  private readonly graph: InterferenceGraph;
  private readonly states: Uint8Array;
  private readonly alias: Int32Array;
  private readonly cost: Float64Array;
  private readonly moves: Array<{ to: number; from: number }> = [];
  private readonly moveStates: number[] = [];
  private readonly movesOf: number[][];
  private readonly waitingMoves: number[] = [];
  private readonly simplifyList: number[] = [];
  private readonly freezeList: number[] = [];
  private readonly spillList: number[] = [];
  private readonly stack: number[] = [];

  constructor(f: MachineFunction, unspillable: ReadonlySet<number>) {
    this.f = f;
    const n = f.registerCount;
    this.graph = new InterferenceGraph(n);
    this.states = new Uint8Array(n);
    this.alias = new Int32Array(n);
    this.cost = new Float64Array(n);
    this.movesOf = Array.from({ length: n }, () => []);
    for (const id of unspillable) this.cost[id] = Number.POSITIVE_INFINITY;
  }

  run(): Colouring {
    this.build();
    this.sortNodes();
    for (;;) {
      const simple = this.take(this.simplifyList, state.simplify);
      if (simple >= 0) {
        this.simplify(simple);
        continue;
      }
      const move = this.waitingMoves.pop();
      if (move !== undefined) {
        if (this.moveStates[move] === moveState.waiting) this.coalesce(move);
        continue;
      }
      const frozen = this.take(this.freezeList, state.freeze);
      if (frozen >= 0) {
        this.makeSimple(frozen);
        this.freezeMoves(frozen);
        continue;
      }
      const spill = this.cheapest();
      if (spill < 0) break;
      this.makeSimple(spill);
      this.freezeMoves(spill);
    }
    return this.assign();
  }

  private build(): void {
    const { f, graph, cost } = this;
    const ends = liveAtEnd(f);
    const scan = new RegisterScan();
    const position = new Int32Array(f.registerCount).fill(-1);
    const live: number[] = [];
    const add = (id: number) => {
      if (position[id] >= 0) return;
      position[id] = live.length;
      live.push(id);
    };
    const remove = (id: number) => {
      const at = position[id];
      if (at < 0) return;
      const last = live.pop()!;
      if (last !== id) {
        live[at] = last;
        position[last] = at;
      }
      position[id] = -1;
    };
    for (const block of f.blocks) {
      while (live.length > 0) position[live.pop()!] = -1;
      const end = ends.get(block)!;
      for (let w = 0; w < end.length; w++) {
        for (let bits = end[w]; bits !== 0; bits &= bits - 1) add(w * 32 + 31 - Math.clz32(bits & -bits));
      }
      const weight = 10 ** Math.min(block.loopDepth, 6);
      for (let n = block.instructions.length - 1; n >= 0; n--) {
        const i = block.instructions[n];
        scan.scan(i);
        if (isMove(i) && scan.uses.length === 1 && scan.definitions.length === 1) {
          remove(scan.uses[0]);
          const index = this.moves.length;
          this.moves.push({ to: scan.definitions[0], from: scan.uses[0] });
          this.moveStates.push(moveState.waiting);
          this.movesOf[scan.definitions[0]].push(index);
          if (scan.uses[0] !== scan.definitions[0]) this.movesOf[scan.uses[0]].push(index);
          this.waitingMoves.push(index);
        }
        for (const id of scan.definitions) add(id);
        for (const id of scan.definitions) {
          if (!f.argumentHomes.has(id)) cost[id] += weight;
          for (const other of live) graph.add(id, other);
        }
        for (const id of scan.early) for (const other of scan.uses) graph.add(id, other);
        for (const id of scan.definitions) remove(id);
        for (const id of scan.uses) {
          cost[id] += weight;
          add(id);
        }
        this.constrainBytes(i.op, i.operands);
      }
    }
  }

  /** A virtual register used as a byte cannot be one that has no byte name. */
  private constrainBytes(
    op: string,
    operands: MachineFunction["blocks"][0]["instructions"][0]["operands"],
  ): void {
    if (rolesOf(op) === "" && operands.length === 0) return;
    for (const operand of operands) {
      if (operand.kind === "register" && operand.size === 1 && operand.id >= firstVirtual) {
        for (const r of withoutByte) this.graph.add(operand.id, r);
      }
    }
  }

  private sortNodes(): void {
    for (let id = firstVirtual; id < this.f.registerCount; id++) {
      if (this.graph.degree[id] >= K) this.put(id, state.spill);
      else if (this.hasMoves(id)) this.put(id, state.freeze);
      else this.put(id, state.simplify);
    }
  }

  private put(id: number, to: 1 | 2 | 3): void {
    this.states[id] = to;
    (to === state.simplify ? this.simplifyList : to === state.freeze ? this.freezeList : this.spillList).push(
      id,
    );
  }

  private take(list: number[], expected: number): number {
    for (;;) {
      const id = list.pop();
      if (id === undefined) return -1;
      if (this.states[id] === expected) return id;
    }
  }

  private hasMoves(id: number): boolean {
    for (const m of this.movesOf[id]) if (this.moveStates[m] !== moveState.done) return true;
    return false;
  }

  private isInGraph(id: number): boolean {
    const s = this.states[id];
    return s !== state.stacked && s !== state.coalesced;
  }

  private simplify(id: number): void {
    this.states[id] = state.stacked;
    this.stack.push(id);
    for (const other of this.graph.neighbours[id]) if (this.isInGraph(other)) this.decrement(other);
  }

  private decrement(id: number): void {
    if (id < firstVirtual) return;
    const before = this.graph.degree[id]--;
    if (before !== K) return;
    this.enableMoves(id);
    for (const other of this.graph.neighbours[id]) if (this.isInGraph(other)) this.enableMoves(other);
    if (this.states[id] === state.spill) this.put(id, this.hasMoves(id) ? state.freeze : state.simplify);
  }

  private enableMoves(id: number): void {
    for (const m of this.movesOf[id]) {
      if (this.moveStates[m] === moveState.active) {
        this.moveStates[m] = moveState.waiting;
        this.waitingMoves.push(m);
      }
    }
  }

  private find(id: number): number {
    let r = id;
    while (this.states[r] === state.coalesced) r = this.alias[r];
    return r;
  }

  private coalesce(move: number): void {
    const a = this.find(this.moves[move].to);
    const b = this.find(this.moves[move].from);
    const [u, v] = b < firstVirtual ? [b, a] : [a, b];
    if (u === v) {
      this.moveStates[move] = moveState.done;
      this.relax(u);
    } else if (v < firstVirtual || this.graph.has(u, v)) {
      this.moveStates[move] = moveState.done;
      this.relax(u);
      this.relax(v);
    } else if (u < firstVirtual ? this.georgeAllows(u, v) : this.briggsAllows(u, v)) {
      this.moveStates[move] = moveState.done;
      this.combine(u, v);
      this.relax(u);
    } else this.moveStates[move] = moveState.active;
  }

  private georgeAllows(fixed: number, v: number): boolean {
    for (const t of this.graph.neighbours[v]) {
      if (!this.isInGraph(t)) continue;
      if (this.graph.degree[t] >= K && t >= firstVirtual && !this.graph.has(t, fixed)) return false;
    }
    return true;
  }

  private briggsAllows(u: number, v: number): boolean {
    let significant = 0;
    const { degree, neighbours } = this.graph;
    for (const t of neighbours[u]) {
      if (!this.isInGraph(t)) continue;
      const d = this.graph.has(t, v) ? degree[t] - 1 : degree[t];
      if (d >= K) significant++;
    }
    for (const t of neighbours[v]) {
      if (this.isInGraph(t) && !this.graph.has(t, u) && degree[t] >= K) significant++;
    }
    return significant < K;
  }

  private combine(u: number, v: number): void {
    this.states[v] = state.coalesced;
    this.alias[v] = u;
    this.cost[u] += this.cost[v];
    this.movesOf[u].push(...this.movesOf[v]);
    this.enableMoves(v);
    for (const t of this.graph.neighbours[v]) {
      if (!this.isInGraph(t)) continue;
      this.graph.add(t, u);
      this.decrement(t);
    }
    if (u >= firstVirtual && this.graph.degree[u] >= K && this.states[u] === state.freeze)
      this.put(u, state.spill);
  }

  /** A node whose last move is gone can be simplified. */
  private relax(id: number): void {
    if (id < firstVirtual || this.states[id] !== state.freeze) return;
    if (!this.hasMoves(id) && this.graph.degree[id] < K) this.put(id, state.simplify);
  }

  private makeSimple(id: number): void {
    this.put(id, state.simplify);
  }

  private freezeMoves(id: number): void {
    for (const m of this.movesOf[id]) {
      if (this.moveStates[m] === moveState.done) continue;
      this.moveStates[m] = moveState.done;
      const other = this.find(this.moves[m].to) === this.find(id) ? this.moves[m].from : this.moves[m].to;
      this.relax(this.find(other));
    }
  }

  private cheapest(): number {
    let best = -1;
    let bestCost = 0;
    const list = this.spillList;
    let kept = 0;
    for (const id of list) {
      if (this.states[id] !== state.spill) continue;
      list[kept++] = id;
      const value = this.cost[id] / this.graph.degree[id];
      if (best < 0 || value < bestCost) {
        best = id;
        bestCost = value;
      }
    }
    list.length = kept;
    return best;
  }

  private assign(): Colouring {
    const { graph, states } = this;
    const result = new Int32Array(this.f.registerCount).fill(-1);
    for (let r = 0; r < firstVirtual; r++) result[r] = r;
    const spills = new Map<number, number[]>();
    while (this.stack.length > 0) {
      const id = this.stack.pop()!;
      let taken = 0;
      for (const t of graph.neighbours[id]) {
        const c = result[this.find(t)];
        if (c >= 0) taken |= 1 << c;
      }
      const free = this.preferred(id, taken, result);
      if (free === undefined) {
        states[id] = state.spilled;
        spills.set(id, [id]);
      } else {
        states[id] = state.coloured;
        result[id] = free;
      }
    }
    for (let id = firstVirtual; id < this.f.registerCount; id++) {
      if (states[id] !== state.coalesced) continue;
      const u = this.find(id);
      result[id] = result[u];
      spills.get(u)?.push(id);
    }
    return { colours: result, spilled: [...spills.values()] };
  }

  /** A free register, one that makes a remaining move vanish if there is one. */
  private preferred(id: number, taken: number, result: Int32Array): number | undefined {
    for (const m of this.movesOf[id]) {
      const { to, from } = this.moves[m];
      const other = this.find(to) === id ? this.find(from) : this.find(to);
      const c = result[other];
      if (c >= 0 && colours.includes(c) && !(taken & (1 << c))) return c;
    }
    return colours.find((c) => !(taken & (1 << c)));
  }
}

/**
 * What profilers gather: cycles and instructions by place in the code, and by chain of calls. A place is an address as the code sees it
 * (EIP), for whom it ran and at which ring. Whoever knows the symbols makes names of it.
 */

/** For whom code ran. */
export interface ProfiledSpace {
  /** Id and name of the process whose thread it was; 0 and "kernel" before there are threads. */
  readonly process: number;
  readonly name: string;
  readonly ring: number;
}

export interface ProfiledPlace {
  readonly space: ProfiledSpace;
  readonly eip: number;
  readonly cycles: number;
  /** Retired instructions; of a sampled profile the number of samples. */
  readonly count: number;
}

/** A function in a chain of calls. */
export interface ProfiledCall {
  readonly space: ProfiledSpace;
  /** An address in the function. */
  readonly eip: number;
  /** Spent here, without what is called. */
  cycles: number;
  readonly callees: Map<string, ProfiledCall>;
}

export interface Profile {
  readonly kind: "exact" | "sample";
  /** Cycles of the run: those of all places, and idle ones. */
  readonly cycles: number;
  readonly idle: number;
  readonly instructions: number;
  /** Cycles between samples. */
  readonly interval?: number;
  readonly places: readonly ProfiledPlace[];
  readonly roots: Iterable<ProfiledCall>;
}

export const spaceKey = ({ process, name, ring }: ProfiledSpace): string => `${process} ${name} ${ring}`;

/** The call of `eip` (made when it is the first) among the callees of another, or among the roots. */
export function calleeIn(
  callees: Map<string, ProfiledCall>,
  space: ProfiledSpace,
  eip: number,
): ProfiledCall {
  const key = `${eip} ${spaceKey(space)}`;
  let call = callees.get(key);
  if (!call) {
    call = { space, eip, cycles: 0, callees: new Map() };
    callees.set(key, call);
  }
  return call;
}

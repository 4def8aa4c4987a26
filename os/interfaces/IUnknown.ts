import type { HRESULT, OutInterface, u32 } from "./types";

/** What every object answers: which interfaces it has, and how many references to it are held. */
export interface IUnknown {
  /** Stores in `out` a pointer to the object's interface `iid`, with a reference of its own; `E_NOINTERFACE` and null if it has none. */
  queryInterface(iid: u32, out: OutInterface): HRESULT;
  /** Adds a reference; returns the new count (for display only). */
  addRef(): u32;
  /** Gives a reference back; the object ends with its last one. Returns the new count. */
  release(): u32;
}
export declare const IUnknown: { readonly IID: u32 };

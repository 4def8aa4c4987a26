import type { IUnknown } from "./IUnknown";

/**
 * Base of the internal interfaces (paper §4): faster ones beside an object's external interface, for callers in the same space. Their methods may
 * speak of addresses. Asked for from elsewhere the object lacks them (`E_NOINTERFACE`), so a caller asks, and falls back on the external
 * interface. Whoever holds one of a movable service that has moved elsewhere gets `E_NOINTERFACE` from its methods until it comes back.
 *
 * `bind` an external interface first, and ask that for the internal one: the way through the kernel counts as elsewhere.
 */
export interface IInternal extends IUnknown {}
export declare const IInternal: { readonly IID: u32 };

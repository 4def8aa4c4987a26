import type { IInternal } from "./IInternal";
import type { HRESULT, InBytes, Out, OutBytes, OutInterface, u32 } from "./types";

/**
 * What makes a service movable (`ISystem.registerService`, `ISystem.place`): its state goes from the running instance to a new one of the
 * same image elsewhere, with these calls, in this order.
 *
 *   old instance                         new instance (its `main` has called `registerService` and got S_FALSE)
 *   suspend
 *     … the calls under way come to their end …
 *   save
 *                                        restore
 *   IServiceObject.key, for each object that a client holds
 *                                        object, for each of these keys
 *                                        resume
 *   (it is ended)                        (calls come in)
 *
 * If anything fails on the way, the new instance is ended and the old one gets `resume` instead. While a service moves, no call of a client
 * comes in, but those that a call under way makes back into the service. So nothing but its own threads can change its state
 * between `suspend` and `resume`, and those have stopped.
 *
 * Only the kernel gets it, and only by `registerService`: no client does, wherever it asks.
 */
export interface IServiceState extends IInternal {
  /** Stops the service's own threads, and has calls that wait for the outside return `E_MOVED`: they are made again afterwards. */
  suspend(): HRESULT;
  /** Starts, or goes on: threads run, calls may wait. In a new instance, what `restore` made belongs to its clients from now on. */
  resume(): HRESULT;
  /** The state as bytes that a new instance of the same image understands; `length` is how many. `E_BUFFER`, with the length, when they do not fit. */
  save(buffer: OutBytes, size: u32, length: Out<u32>): HRESULT;
  /** Takes the state over. Anything negative calls the move off. */
  restore(buffer: InBytes, size: u32): HRESULT;
  /** Interface `iid` of the object with this key. `E_NOTFOUND`, `E_NOINTERFACE`. */
  object(key: u32, iid: u32, out: OutInterface): HRESULT;
}
export declare const IServiceState: { readonly IID: u32 };

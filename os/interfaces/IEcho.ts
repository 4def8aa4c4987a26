import type { IEchoCallback } from "./IEchoCallback";
import type { IUnknown } from "./IUnknown";
import type { f64, HRESULT, In, InBytes, InOut, InString, i32, Out, OutBytes, u32, u64 } from "./types";

/** A structure that calls carry whole. */
@unmanaged
export class EchoPoint {
  x: i32 = 0;
  y: i32 = 0;
  weight: f64 = 0;
}

/** A server with every kind of argument, for tests and measurements of the call paths. */
export interface IEcho extends IUnknown {
  /** Does nothing: the cost of a call itself. */
  nothing(): HRESULT;
  add(a: i32, b: i32, sum: Out<i32>): HRESULT;
  wide(a: u64, b: f64, sum: Out<f64>): HRESULT;
  /** Mirrors a point at the origin. */
  mirror(point: In<EchoPoint>, out: Out<EchoPoint>): HRESULT;
  increment(value: InOut<u32>): HRESULT;
  /** Sum of the bytes. */
  sum(buffer: InBytes, size: u32, sum: Out<u32>): HRESULT;
  /** Fills the buffer with `first`, `first` + 1, … modulo 256. */
  fill(first: u32, buffer: OutBytes, size: u32): HRESULT;
  length(text: InString, length: Out<u32>): HRESULT;
  /** Calls `callback.called(value)` and stores its answer. */
  callBack(callback: IEchoCallback, value: u32, answer: Out<u32>): HRESULT;
  /** A new echo object of its own. */
  another(out: Out<IEcho>): HRESULT;
  /** The space this server runs in: its process id and the ring of its code. */
  whereAmI(process: Out<u32>, ring: Out<u32>): HRESULT;
  /** Waits `milliseconds` before it answers. */
  slow(milliseconds: u32): HRESULT;
  /** Ends the server's program. */
  quit(): HRESULT;
  /** Get a buffer and do not touch it: the cost of carrying it in, and out. */
  accept(buffer: InBytes, size: u32): HRESULT;
  supply(buffer: OutBytes, size: u32): HRESULT;
  /** Reads a byte of every 4 KB. */
  probe(buffer: InBytes, size: u32): HRESULT;
  /** How often this method of this object has been called, this time included: state that is kept when the server moves. */
  count(calls: Out<u32>): HRESULT;
  /** Has `next` do `callBack`, so that a call goes through two servers. */
  relay(next: IEcho, callback: IEchoCallback, value: u32, answer: Out<u32>): HRESULT;
  /** `IThreads.serverPool` of the server's program. */
  pool(limit: u32, policy: u32): HRESULT;
  /** Ends the thread that runs it, which in a process is a server thread. */
  leave(): HRESULT;
}
export declare const IEcho: { readonly IID: u32 };

/** What a result code says, for messages to people. */

import {
  E_ACCESSDENIED,
  E_BADIMAGE,
  E_BUFFER,
  E_BUSY,
  E_CANCELLED,
  E_CYCLE,
  E_DISCONNECTED,
  E_EXISTS,
  E_FAIL,
  E_HANDLE,
  E_INVALIDARG,
  E_MOVED,
  E_NOINTERFACE,
  E_NOLIBRARY,
  E_NOSYMBOL,
  E_NOTFOUND,
  E_NOTIMPL,
  E_OUTOFMEMORY,
  E_POINTER,
  E_TIMEOUT,
  E_VERSION,
} from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";

/** Address of a short description. */
export function describeResult(result: HRESULT): usize {
  switch (result) {
    case E_NOTIMPL:
      return text("the object lacks this method");
    case E_NOINTERFACE:
      return text("the object lacks this interface");
    case E_POINTER:
      return text("bad pointer");
    case E_FAIL:
      return text("it failed");
    case E_ACCESSDENIED:
      return text("not allowed here");
    case E_HANDLE:
      return text("not an interface pointer of this space");
    case E_OUTOFMEMORY:
      return text("out of memory");
    case E_INVALIDARG:
      return text("invalid argument");
    case E_NOTFOUND:
      return text("not found");
    case E_EXISTS:
      return text("exists already");
    case E_BADIMAGE:
      return text("malformed image");
    case E_NOLIBRARY:
      return text("a shared library that it needs is missing");
    case E_NOSYMBOL:
      return text("a symbol that it needs is missing from a library");
    case E_CYCLE:
      return text("libraries that it needs need each other");
    case E_VERSION:
      return text("it was built against another version of a library");
    case E_BUFFER:
      return text("buffer too small");
    case E_DISCONNECTED:
      return text("the server ended");
    case E_CANCELLED:
      return text("killed");
    case E_TIMEOUT:
      return text("timed out");
    case E_MOVED:
      return text("the service is being moved");
    case E_BUSY:
      return text("busy");
    default:
      return result < 0 ? text("unknown error") : text("success");
  }
}

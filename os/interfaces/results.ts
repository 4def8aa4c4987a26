/** Result codes of all calls. Negative is failure; values are COM's where COM has one. */
export const S_OK: i32 = 0;
export const S_FALSE: i32 = 1;
/** The object lacks the method. */
export const E_NOTIMPL: i32 = <i32>0x80004001;
/** The object lacks the interface. */
export const E_NOINTERFACE: i32 = <i32>0x80004002;
/** A pointer argument lies outside of the caller's address space. */
export const E_POINTER: i32 = <i32>0x80004003;
export const E_FAIL: i32 = <i32>0x80004005;
/** A driver call from a process, or an operation that this caller may not do. */
export const E_ACCESSDENIED: i32 = <i32>0x80070005;
/** The interface pointer is not (or no longer) one of this address space. */
export const E_HANDLE: i32 = <i32>0x80070006;
export const E_OUTOFMEMORY: i32 = <i32>0x8007000e;
export const E_INVALIDARG: i32 = <i32>0x80070057;
/** No such name, file, image, process or region. */
export const E_NOTFOUND: i32 = <i32>0x80070490;
/** The name or address range is taken. */
export const E_EXISTS: i32 = <i32>0x800700b7;
/** The image or archive is malformed. */
export const E_BADIMAGE: i32 = <i32>0x800700c1;
/** A needed shared library is missing. */
export const E_NOLIBRARY: i32 = <i32>0x8007007e;
/** A needed library lacks a symbol. */
export const E_NOSYMBOL: i32 = <i32>0x8007007f;
/** Libraries need each other in a circle. */
export const E_CYCLE: i32 = <i32>0x80070423;
/** An image was built against another version of a library's function. */
export const E_VERSION: i32 = <i32>0x8007051a;
/** The caller's buffer is too small for the whole answer. */
export const E_BUFFER: i32 = <i32>0x8007007a;
/** The server's process ended before it answered. */
export const E_DISCONNECTED: i32 = <i32>0x80010108;
/** The calling thread was asked to end while it waited. */
export const E_CANCELLED: i32 = <i32>0x800704c7;
export const E_TIMEOUT: i32 = <i32>0x800705b4;
/** Every server thread is busy and the pool is at its bound. */
export const E_BUSY: i32 = <i32>0x800700aa;
/** Not for clients: the service is being moved, and the call is to be made again at its new place. */
export const E_MOVED: i32 = <i32>0x80010109;

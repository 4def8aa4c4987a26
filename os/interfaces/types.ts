/**
 * Argument types of the IDL (os/README.md, "Interfaces") as tsc sees them. The toolchain reads the names in interface
 * files; to guest code each pointer type is an address. The scalars are AssemblyScript's own.
 */

export type HRESULT = i32;

/** Address of a value that the call carries into the server. */
export type In<_T> = usize;
/** Address of a value that the server fills. */
export type Out<_T> = usize;
/** Address of a value that travels both ways. */
export type InOut<_T> = usize;
/** Address of a buffer; the argument `size` that follows is its size in bytes. */
export type InBytes = usize;
export type OutBytes = usize;
export type InOutBytes = usize;
/** Address of NUL-terminated UTF-8. */
export type InString = usize;
/** Address of a word for a pointer to the interface that the argument `iid` names. */
export type OutInterface = usize;

export type i32 = globalThis.i32;
export type u32 = globalThis.u32;
export type i64 = globalThis.i64;
export type u64 = globalThis.u64;
export type f32 = globalThis.f32;
export type f64 = globalThis.f64;

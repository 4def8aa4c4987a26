/**
 * A 32-bit Linux program that runs instruction cases on the host's processor: no libc, a few system calls.
 *
 * Every case ends in a signal (at the latest by the INT3 behind its instruction). The handler stores the interrupted context and the
 * windows as the result, writes the next case into windows and context, and returns into it. After the last one it
 * writes all results to standard output.
 *
 * The process has no memory but its own segments, so that stray pointers fault, and makes no system calls but those of the
 * harness: any other, from a case that went astray, is SIGSYS.
 */
import { Assembler } from "../../i386/assembler.ts";
import { al, dword, eax, ebx, ecx, edi, edx, esi, esp, memory, symbol } from "../../i386/assembly.ts";
import { type InstructionCase, packCases } from "./case.ts";
import * as layout from "./layout.ts";
import { link } from "./link-harness.ts";
import { type ElfSegment, staticElf } from "./static-elf.ts";

const SYS_EXIT = 1;
const SYS_WRITE = 4;
const SYS_MUNMAP = 91;
const SYS_PRCTL = 172;
const SYS_RT_SIGRETURN = 173;
const SYS_RT_SIGACTION = 174;
const SYS_SIGALTSTACK = 186;
/** SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS. */
const SIGNALS = [4, 5, 7, 8, 11, 31];
const PR_SET_SECCOMP = 22;
const SECCOMP_MODE_FILTER = 2;
const PR_SET_NO_NEW_PRIVS = 38;
/** What lies above the segments: stack, vDSO. The end is that of a 32-bit process on 64-bit Linux. */
const FOREIGN = 0x0200_0000;
const FOREIGN_END = 0xffff_e000;
/** Most bytes of harness code. */
const CODE_LIMIT = 0x1_0000;
const SA_SIGINFO = 4;
const SA_ONSTACK = 0x0800_0000;
const SA_RESTORER = 0x0400_0000;
/** AC, ID and NT stay as the case left them when a signal handler starts. */
const KEPT_FLAGS = 0x24_4000;
const STACK_SIZE = 0x1_0000;
/** Offsets in `sigcontext` of <asm/sigcontext.h> (i386), which stands at +20 of the handler's `ucontext`. */
const CONTEXT = { gs: 0, fs: 4, es: 8, ds: 12, edi: 16, eip: 56, cs: 60, eflags: 64, ss: 72 };

function call(
  a: Assembler,
  number: number,
  ...values: readonly (number | ReturnType<typeof symbol>)[]
): void {
  const registers = [ebx, ecx, edx, esi, edi];
  values.forEach((value, i) => {
    a.emit("mov", registers[i]!, value);
  });
  a.emit("mov", eax, number);
  a.emit("int", 0x80);
}

function harnessCode(caseCount: number): Assembler {
  const a = new Assembler();
  const casesEnd = layout.CASES + caseCount * layout.CASE_SIZE;
  const resultBytes = caseCount * layout.RESULT_SIZE;
  const at = (name: string) => dword({ displacement: symbol(name) });

  a.label("start");
  call(a, SYS_SIGALTSTACK, symbol("alternateStack"), 0);
  for (const signal of SIGNALS) call(a, SYS_RT_SIGACTION, signal, symbol("action"), 0, 8);
  call(a, SYS_MUNMAP, FOREIGN, FOREIGN_END - FOREIGN);
  call(a, SYS_PRCTL, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  call(a, SYS_PRCTL, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, symbol("filterProgram"));
  // Touched once, so that it is present: error codes tell.
  a.emit("mov", eax, dword({ displacement: layout.READ_ONLY }));
  a.emit("int3");

  a.label("handler");
  a.emit("pushfd");
  a.emit("and", dword({ base: esp }), ~KEPT_FLAGS);
  a.emit("popfd");
  a.emit("cld");
  a.emit("mov", ebx, dword({ base: esp, displacement: 12 }));
  a.emit("add", ebx, 20);
  const first = a.newLabel();
  a.emit("cmp", at("started"), 0);
  a.emit("je", first);
  a.emit("mov", edi, at("resultPointer"));
  a.emit("mov", esi, ebx);
  copy(a, 22);
  copyWindowsFrom(a);
  a.emit("add", edi, 8);
  a.emit("mov", at("resultPointer"), edi);
  a.place(first);
  a.emit("mov", at("started"), 1);
  a.emit("mov", esi, at("casePointer"));
  a.emit("cmp", esi, casesEnd);
  const finish = a.newLabel();
  a.emit("jae", finish);
  a.emit("lea", edi, memory({ base: ebx, displacement: CONTEXT.edi }));
  copy(a, 8);
  a.emit("lodsd");
  a.emit("mov", dword({ base: ebx, displacement: CONTEXT.eip }), eax);
  a.emit("lodsd");
  a.emit("mov", dword({ base: ebx, displacement: CONTEXT.eflags }), eax);
  const segments = [
    [CONTEXT.gs, 0],
    [CONTEXT.fs, 0],
    [CONTEXT.es, layout.USER_DATA],
    [CONTEXT.ds, layout.USER_DATA],
    [CONTEXT.cs, layout.USER_CODE],
    [CONTEXT.ss, layout.USER_DATA],
  ] as const;
  for (const [offset, selector] of segments)
    a.emit("mov", dword({ base: ebx, displacement: offset }), selector);
  a.emit("add", esi, 24);
  copyWindowsTo(a);
  a.emit("mov", at("casePointer"), esi);
  a.emit("ret");

  a.place(finish);
  a.emit("mov", ecx, layout.RESULTS);
  a.emit("mov", edx, resultBytes);
  const again = a.mark();
  a.emit("mov", ebx, 1);
  a.emit("mov", eax, SYS_WRITE);
  a.emit("int", 0x80);
  a.emit("test", eax, eax);
  const failed = a.newLabel();
  a.emit("jle", failed);
  a.emit("add", ecx, eax);
  a.emit("sub", edx, eax);
  a.emit("jne", again);
  a.place(failed);
  a.emit("test", edx, edx);
  a.emit("setne", al);
  a.emit("movzx", ebx, al);
  a.emit("mov", eax, SYS_EXIT);
  a.emit("int", 0x80);

  a.label("restorer");
  a.emit("mov", eax, SYS_RT_SIGRETURN);
  a.emit("int", 0x80);

  a.align(16);
  a.label("alternateStack");
  a.dword(symbol("stack"));
  a.dword(0);
  a.dword(STACK_SIZE);
  a.label("action");
  a.dword(symbol("handler"));
  a.dword(SA_SIGINFO | SA_ONSTACK | SA_RESTORER);
  a.dword(symbol("restorer"));
  a.dword(0);
  a.dword(0);
  filterProgram(a);
  a.label("started");
  a.dword(0);
  a.label("casePointer");
  a.dword(layout.CASES);
  a.label("resultPointer");
  a.dword(layout.RESULTS);
  a.align(4096);
  a.label("stack");
  return a;
}

/**
 * Seccomp's program (<linux/filter.h>): what is called from the harness's own code and is write, exit or sigreturn may go on, anything else
 * is trapped.
 */
function filterProgram(a: Assembler): void {
  const [LOAD, EQUAL, AT_LEAST, RETURN] = [0x20, 0x15, 0x35, 0x06];
  const [NUMBER, INSTRUCTION_POINTER] = [0, 8];
  const [ALLOW, TRAP] = [0x7fff_0000, 0x0003_0000];
  const steps: readonly (readonly [code: number, then: number, otherwise: number, k: number])[] = [
    [LOAD, 0, 0, INSTRUCTION_POINTER],
    [AT_LEAST, 0, 5, layout.HARNESS],
    [AT_LEAST, 4, 0, layout.HARNESS + CODE_LIMIT],
    [LOAD, 0, 0, NUMBER],
    [EQUAL, 3, 0, SYS_WRITE],
    [EQUAL, 2, 0, SYS_EXIT],
    [EQUAL, 1, 0, SYS_RT_SIGRETURN],
    [RETURN, 0, 0, TRAP],
    [RETURN, 0, 0, ALLOW],
  ];
  a.label("filterProgram");
  a.word(steps.length);
  a.word(0);
  a.dword(symbol("filter"));
  a.label("filter");
  for (const [code, then, otherwise, k] of steps) {
    a.word(code);
    a.bytes(Uint8Array.of(then, otherwise));
    a.dword(k);
  }
}

/** REP MOVSD of so many words, from ESI to EDI. */
export function copy(a: Assembler, words: number): void {
  a.emit("mov", ecx, words);
  a.emitPrefixed("rep", "movsd");
}

/** Windows to EDI. */
export function copyWindowsFrom(a: Assembler): void {
  a.emit("mov", esi, layout.WINDOW_A);
  copy(a, layout.WINDOW_A_SIZE / 4);
  a.emit("mov", esi, layout.WINDOW_B);
  copy(a, layout.WINDOW_B_SIZE / 4);
}

/** ESI to windows. */
export function copyWindowsTo(a: Assembler): void {
  a.emit("mov", edi, layout.WINDOW_A);
  copy(a, layout.WINDOW_A_SIZE / 4);
  a.emit("mov", edi, layout.WINDOW_B);
  copy(a, layout.WINDOW_B_SIZE / 4);
}

/** Segments that every harness has: code slots, data pages, case and result records. */
export function caseSegments(cases: readonly InstructionCase[]): ElfSegment[] {
  const { records, slots } = packCases(cases);
  const readOnly = Uint8Array.from({ length: 4096 }, (_, i) => (i * 37) & 0xff);
  // Zero pages are in the file: older Linux kernels map only the last segment's.
  const zero = (size: number) => ({ bytes: new Uint8Array(size), size });
  const page = { writable: true, executable: false };
  return [
    { address: layout.CODE, bytes: slots, size: slots.length, writable: true, executable: true },
    { address: layout.DATA, ...zero(layout.DATA_END - layout.DATA), ...page },
    { address: layout.READ_ONLY, bytes: readOnly, size: 4096, writable: false, executable: false },
    { address: layout.CASES, bytes: records, size: records.length, ...page },
    { address: layout.RESULTS, ...zero(cases.length * layout.RESULT_SIZE), ...page },
  ];
}

export function linuxHarness(cases: readonly InstructionCase[]): Uint8Array {
  const { bytes, symbols } = link(harnessCode(cases.length).finish(), layout.HARNESS);
  const image = new Uint8Array(bytes.length + STACK_SIZE);
  image.set(bytes);
  const harness = {
    address: layout.HARNESS,
    bytes: image,
    size: image.length,
    writable: true,
    executable: true,
  };
  return staticElf(symbols.get("start")!, [harness, ...caseSegments(cases)]);
}

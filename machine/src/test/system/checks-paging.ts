/**
 * Checks of paging: faults and their codes, accessed and dirty bits, write protection, 4 MB pages, the TLB, accesses across page ends,
 * restart of the instruction that faulted. Source of the rules: Pentium Processor Family Developer's Manual, volume 3, chapters 11
 * (paging), 12 (page-level protection), 14 (interrupt 14) and 23 (CR4.PSE). Long because it is a table of checks.
 */

import {
  ax,
  bx,
  byte,
  cr0,
  cr3,
  cr4,
  dword,
  eax,
  ebx,
  ecx,
  edi,
  edx,
  es,
  esi,
  esp,
  qword,
  word,
} from "../../i386/assembly.ts";
import { Address, type CheckWriter, describe, Selector, type SystemCheck, Tss } from "./check-writer.ts";

const WP = 0x1_0000;
const PAGE = Address.scratch;
const NEXT = Address.scratch + 0x1000;
const CR4_PSE = 0x10;

/** Paging on, then an access that `emit` makes after `prepare`, in ring 0 or another. */
function paged(
  name: string,
  rule: string,
  expect: string,
  prepare: (kernel: CheckWriter) => void,
  emit: (kernel: CheckWriter) => void,
  ring: 0 | 1 | 3 = 0,
  cr0Bits = 0,
): SystemCheck {
  return {
    name: `paging.${name}`,
    rule,
    expect,
    code(kernel) {
      kernel.pagingOn(cr0Bits);
      prepare(kernel);
      if (ring !== 0) kernel.enterRing(ring);
      kernel.at();
      emit(kernel);
      kernel.finishFromRing();
    },
  };
}

const read = ({ a }: CheckWriter): void => a.emit("mov", ecx, dword({ displacement: PAGE }));
const write = ({ a }: CheckWriter): void => a.emit("mov", dword({ displacement: PAGE }), ecx);
const modify = ({ a }: CheckWriter): void => a.emit("add", dword({ displacement: PAGE }), ecx);
const map =
  (flags: number) =>
  (kernel: CheckWriter): void =>
    kernel.mapPage(PAGE, flags);

const codeChecks: SystemCheck[] = [
  paged(
    "absent.read",
    "code 0: not present, read, supervisor; CR2 holds the linear address",
    "#0e(0000) [00310000]",
    map(0),
    read,
  ),
  paged("absent.write", "code 2: not present, write, supervisor", "#0e(0002) [00310000]", map(0), write),
  paged("absent.modify", "a read-modify-write faults as a write", "#0e(0002) [00310000]", map(0), modify),
  paged("absent.user.read", "code 4: not present, read, user", "#0e(0004) r3 [00310000]", map(0), read, 3),
  paged("absent.user.write", "code 6: not present, write, user", "#0e(0006) r3 [00310000]", map(0), write, 3),
  paged("supervisor.user.read", "code 5: present, read, user", "#0e(0005) r3 [00310000]", map(3), read, 3),
  paged("readOnly.user.write", "code 7: present, write, user", "#0e(0007) r3 [00310000]", map(5), write, 3),
  paged("readOnly.user.read", "a read-only user page can be read", "ok", map(5), read, 3),
  paged("readOnly.write", "without CR0.WP rings 0 to 2 may write read-only pages", "ok", map(5), write),
  paged(
    "readOnly.write.wp",
    "code 3 with CR0.WP: present, write, supervisor",
    "#0e(0003) [00310000]",
    map(5),
    write,
    0,
    WP,
  ),
  paged(
    "readOnly.supervisor.wp",
    "CR0.WP holds for supervisor pages too",
    "#0e(0003) [00310000]",
    map(1),
    write,
    0,
    WP,
  ),
  paged("ring1.supervisor", "ring 1 is supervisor to paging", "ok", map(3), write, 1),
  paged("ring1.absent", "a fault of ring 1 has U/S clear", "#0e(0002) r1 [00310000]", map(0), write, 1),
  paged(
    "directory.absent",
    "an absent page table is the same fault",
    "#0e(0000) [01000000]",
    () => {},
    ({ a }) => {
      a.emit("mov", ecx, dword({ displacement: 0x100_0000 }));
    },
  ),
  paged(
    "directory.supervisor",
    "a page is a user page only when its directory entry says so too",
    "#0e(0005) r3 [00c00000]",
    (kernel) => {
      kernel.store(Address.directory + 12, (Address.tables + 0x3000) | 3);
    },
    ({ a }) => a.emit("mov", ecx, dword({ displacement: 0xc0_0000 })),
    3,
  ),
  paged(
    "directory.readOnly",
    "a page is writable to users only when its directory entry says so too",
    "#0e(0007) r3 [00c00010]",
    (kernel) => {
      kernel.store(Address.directory + 12, (Address.tables + 0x3000) | 5);
    },
    ({ a }) => a.emit("mov", dword({ displacement: 0xc0_0010 }), ecx),
    3,
  ),
  paged("bits", "CR2 is the address accessed, not the page", "#0e(0000) [00310abc]", map(0), ({ a }) => {
    a.emit("movzx", ecx, word({ displacement: PAGE + 0xabc }));
  }),
];

const fetchChecks: SystemCheck[] = [
  paged(
    "fetch.absent",
    "fetching from an absent page: EIP and CR2 are the target",
    "ok; 310010 310010 0",
    map(0),
    (kernel) => {
      const { a } = kernel;
      noteFault(kernel);
      a.emit("mov", ebx, PAGE + 0x10);
      a.emit("jmp", ebx);
    },
  ),
  paged(
    "fetch.supervisor",
    "fetching user code from a supervisor page is code 5",
    "ok; 310010 310010 5",
    (kernel) => {
      kernel.mapPage(PAGE, 3);
      noteFault(kernel);
    },
    ({ a }) => {
      a.emit("mov", ebx, PAGE + 0x10);
      a.emit("jmp", ebx);
    },
    3,
  ),
  paged(
    "fetch.straddle",
    "an instruction that continues on an absent page: EIP is its start, CR2 the next page",
    "ok; 310ffe 311000 0",
    (kernel) => {
      kernel.a.emit("mov", word({ displacement: PAGE + 0xffe }), 0xb990);
      kernel.a.emit("mov", byte({ displacement: PAGE + 0xffe }), 0xb9);
      kernel.mapPage(NEXT, 0);
    },
    (kernel) => {
      noteFault(kernel);
      kernel.a.emit("mov", ebx, PAGE + 0xffe);
      kernel.a.emit("jmp", ebx);
    },
  ),
  paged(
    "fetch.straddle.good",
    "an instruction across two pages of different frames runs",
    "ok; 11223344",
    (kernel) => {
      const { a } = kernel;
      // mov ecx, 11223344h; jmp ebx: two bytes on the first page, the rest on a page whose frame lies elsewhere.
      const frame = NEXT + 0x3000;
      a.emit("mov", byte({ displacement: PAGE + 0xffe }), 0xb9);
      a.emit("mov", byte({ displacement: PAGE + 0xfff }), 0x44);
      kernel.store(frame, 0xff11_2233);
      a.emit("mov", byte({ displacement: frame + 4 }), 0xe3);
      kernel.store(Address.tables + (NEXT >>> 12) * 4, frame | 7);
      a.emit("mov", eax, cr3);
      a.emit("mov", cr3, eax);
    },
    (kernel) => {
      const { a } = kernel;
      const back = a.newLabel();
      a.emit("lea", ebx, dword({ displacement: back }));
      a.emit("mov", edx, PAGE + 0xffe);
      a.emit("jmp", edx);
      a.place(back);
      kernel.note(ecx);
    },
  ),
];

/** Takes over #PF: notes the saved EIP, CR2 and the code, and ends the check. */
function noteFault(kernel: CheckWriter): void {
  const { a } = kernel;
  const handler = a.newLabel();
  const around = a.newLabel();
  kernel.gate(14, 0x8e, Selector.code, handler);
  a.emit("jmp", around);
  a.place(handler);
  a.emit("mov", ax, Selector.data);
  a.emit("mov", es, ax);
  a.emit("mov", eax, dword({ base: esp, displacement: 4 }));
  kernel.note(eax);
  a.bytes([0x0f, 0x20, 0xd0]); // mov eax, cr2
  kernel.note(eax);
  a.emit("mov", eax, dword({ base: esp }));
  kernel.note(eax);
  kernel.finishFromRing();
  a.place(around);
}

const entryBits = (kernel: CheckWriter, linear: number): void => {
  kernel.a.emit("mov", eax, dword({ displacement: Address.tables + (linear >>> 12) * 4 }));
  kernel.a.emit("and", eax, 0xfff);
  kernel.note(eax);
};

const bitChecks: SystemCheck[] = [
  paged("accessed", "a read sets the accessed bit of the table entry", "ok; 7 27", map(7), (kernel) => {
    entryBits(kernel, PAGE);
    read(kernel);
    entryBits(kernel, PAGE);
  }),
  paged("dirty", "a write sets accessed and dirty", "ok; 67", map(7), (kernel) => {
    write(kernel);
    entryBits(kernel, PAGE);
  }),
  paged("dirty.later", "the first write after reads sets the dirty bit", "ok; 27 67", map(7), (kernel) => {
    read(kernel);
    entryBits(kernel, PAGE);
    write(kernel);
    entryBits(kernel, PAGE);
  }),
  paged("fault.bits", "an access that faults sets neither bit", "#0e(0003) [00310000]", map(5), write, 0, WP),
  {
    name: "paging.fault.bits.unset",
    rule: "an access that faults sets neither bit",
    expect: "ok; 5",
    code(kernel) {
      const { a } = kernel;
      kernel.pagingOn(WP);
      kernel.mapPage(PAGE, 5);
      const handler = a.newLabel();
      kernel.gate(14, 0x8e, Selector.code, handler);
      write(kernel);
      a.place(handler);
      entryBits(kernel, PAGE);
      kernel.finish();
    },
  },
  {
    name: "paging.directory.accessed",
    rule: "a walk sets the accessed bit of the directory entry, never its dirty bit",
    expect: "ok; 27",
    code(kernel) {
      const { a } = kernel;
      kernel.pagingOn();
      a.emit("mov", dword({ displacement: 0xc0_0000 }), eax);
      a.emit("mov", eax, dword({ displacement: Address.directory + 12 }));
      a.emit("and", eax, 0xfff);
      kernel.note(eax);
      kernel.finish();
    },
  },
];

function largePages(kernel: CheckWriter, flags: number): void {
  const { a } = kernel;
  a.emit("mov", eax, CR4_PSE);
  a.emit("mov", cr4, eax);
  kernel.store(Address.directory + 12, 0x0080_0080 | flags);
  kernel.pagingOn();
}

const largeChecks: SystemCheck[] = [
  {
    name: "paging.large",
    rule: "with CR4.PSE a directory entry with PS maps 4 MB",
    expect: "ok; 1234 8000e7",
    code(kernel) {
      kernel.store(0x80_5678, 0x1234);
      largePages(kernel, 7);
      kernel.a.emit("mov", ecx, dword({ displacement: 0xc0_5678 }));
      kernel.a.emit("mov", dword({ displacement: 0xc0_5678 }), ecx);
      kernel.note(ecx);
      kernel.noteMemory(Address.directory + 12);
      kernel.finish();
    },
  },
  {
    name: "paging.large.accessed",
    rule: "a read sets only the accessed bit of a 4 MB page",
    expect: "ok; 8000a7",
    code(kernel) {
      largePages(kernel, 7);
      kernel.a.emit("mov", ecx, dword({ displacement: 0xc0_5678 }));
      kernel.noteMemory(Address.directory + 12);
      kernel.finish();
    },
  },
  {
    name: "paging.large.user",
    rule: "rights of a 4 MB page come from the directory entry: code 5",
    expect: "#0e(0005) r3 [00c05678]",
    code(kernel) {
      largePages(kernel, 3);
      kernel.enterRing(3);
      kernel.at();
      kernel.a.emit("mov", ecx, dword({ displacement: 0xc0_5678 }));
      kernel.finishFromRing();
    },
  },
  {
    name: "paging.large.readOnly",
    rule: "the same for writes: code 7",
    expect: "#0e(0007) r3 [00c05678]",
    code(kernel) {
      largePages(kernel, 5);
      kernel.enterRing(3);
      kernel.at();
      kernel.a.emit("mov", dword({ displacement: 0xc0_5678 }), ecx);
      kernel.finishFromRing();
    },
  },
  {
    name: "paging.large.off",
    rule: "without CR4.PSE the PS bit is ignored: the entry names a page table",
    expect: "ok; 55aa",
    code(kernel) {
      kernel.store(Address.directory + 12, ((Address.tables + 0x3000) | 0x87) >>> 0);
      kernel.store(0xc0_0123, 0x55aa);
      kernel.pagingOn();
      kernel.a.emit("mov", ecx, dword({ displacement: 0xc0_0123 }));
      kernel.note(ecx);
      kernel.finish();
    },
  },
];

const straddleChecks: SystemCheck[] = [
  paged(
    "straddle.read",
    "an access across a page end whose second page is absent: CR2 is the second page's first byte",
    "#0e(0000) [00311000]",
    (kernel) => {
      kernel.mapPage(NEXT, 0);
    },
    ({ a }) => a.emit("mov", ecx, dword({ displacement: PAGE + 0xffe })),
  ),
  paged(
    "straddle.write",
    "nothing is written when the second page faults",
    "ok; 311000 2 44332211",
    (kernel) => {
      kernel.store(PAGE + 0xffc, 0x4433_2211);
      kernel.mapPage(NEXT, 0);
    },
    (kernel) => {
      const { a } = kernel;
      const handler = a.newLabel();
      kernel.gate(14, 0x8e, Selector.code, handler);
      a.emit("mov", ecx, -1);
      a.emit("mov", dword({ displacement: PAGE + 0xffe }), ecx);
      a.place(handler);
      a.bytes([0x0f, 0x20, 0xd0]); // mov eax, cr2
      kernel.note(eax);
      a.emit("mov", eax, dword({ base: esp }));
      kernel.note(eax);
      kernel.noteMemory(PAGE + 0xffc);
    },
  ),
  paged(
    "straddle.good",
    "an access across two pages of different frames reads both",
    "ok; 44332211",
    (kernel) => {
      const { a } = kernel;
      a.emit("mov", word({ displacement: PAGE + 0xffe }), 0x2211);
      a.emit("mov", word({ displacement: NEXT + 0x3000 }), 0x4433);
      kernel.store(Address.tables + (NEXT >>> 12) * 4, (NEXT + 0x3000) | 7);
      a.emit("mov", eax, cr3);
      a.emit("mov", cr3, eax);
    },
    (kernel) => {
      kernel.a.emit("mov", ecx, dword({ displacement: PAGE + 0xffe }));
      kernel.note(ecx);
    },
  ),
  paged(
    "cmpxchg8b",
    "CMPXCHG8B needs write rights to all eight bytes",
    "#0e(0002) [00311000]",
    (kernel) => {
      kernel.mapPage(NEXT, 0);
    },
    ({ a }) => a.emit("cmpxchg8b", qword({ displacement: PAGE + 0xffc })),
  ),
];

/** A fault in ring 3 that a handler repairs; the instruction is restarted. */
function restarted(
  name: string,
  rule: string,
  expect: string,
  emit: (kernel: CheckWriter) => void,
): SystemCheck {
  return {
    name: `restart.${name}`,
    rule,
    expect,
    code(kernel) {
      const { a } = kernel;
      const handler = a.newLabel();
      kernel.pagingOn(WP);
      kernel.gate(14, 0x8e, Selector.code, handler);
      kernel.store(PAGE + 0xffc, 0x1111_1111);
      kernel.store(NEXT, 0x2222_2222);
      kernel.store(NEXT + 4, 0x3333_3333);
      kernel.store(NEXT + 8, 0x4444_4444);
      kernel.mapPage(NEXT, 0);
      kernel.enterRing(3);
      emit(kernel);
      kernel.finishFromRing();
      // Maps the page and goes back.
      a.place(handler);
      a.emit("push", eax);
      a.emit("mov", dword({ displacement: Address.tables + (NEXT >>> 12) * 4 }), NEXT | 7);
      a.emit("inc", dword({ displacement: PAGE + 0x100 }));
      a.emit("pop", eax);
      a.emit("add", esp, 4);
      a.emit("iretd");
    },
  };
}

const restartChecks: SystemCheck[] = [
  restarted(
    "pop",
    "POP is restarted: ESP and the register are right afterwards",
    "ok; 22222222 311004 1",
    (kernel) => {
      const { a } = kernel;
      a.emit("mov", esp, NEXT);
      a.emit("pop", ecx);
      a.emit("mov", ebx, esp);
      a.emit("mov", esp, Address.userStack);
      kernel.note(ecx);
      kernel.note(ebx);
      kernel.noteMemory(PAGE + 0x100);
    },
  ),
  restarted(
    "popMemory",
    "POP to memory uses the incremented ESP in its address, also when it is restarted",
    "ok; 22222222 22222222 311004",
    (kernel) => {
      const { a } = kernel;
      a.emit("mov", esp, NEXT);
      a.emit("pop", dword({ base: esp, displacement: 4 }));
      a.emit("mov", ecx, dword({ base: esp, displacement: 4 }));
      a.emit("mov", edx, dword({ base: esp, displacement: -4 }));
      a.emit("mov", ebx, esp);
      a.emit("mov", esp, Address.userStack);
      kernel.note(ecx);
      kernel.note(edx);
      kernel.note(ebx);
    },
  ),
  restarted("pusha", "PUSHA across a page end is restarted", "ok; 310ff4 1010101 8080808 1", (kernel) => {
    const { a } = kernel;
    a.emit("mov", eax, 0x0101_0101);
    a.emit("mov", edi, 0x0808_0808);
    a.emit("mov", esp, NEXT + 20);
    a.emit("pushad");
    a.emit("mov", ebx, esp);
    a.emit("mov", ecx, dword({ base: esp, displacement: 28 }));
    a.emit("mov", edx, dword({ base: esp }));
    a.emit("mov", esp, Address.userStack);
    kernel.note(ebx);
    kernel.note(ecx);
    kernel.note(edx);
    kernel.noteMemory(PAGE + 0x100);
  }),
  restarted(
    "repMovs",
    "a string move goes on where it faulted",
    "ok; 0 31100c 310210 33333333 1",
    (kernel) => {
      const { a } = kernel;
      a.emit("mov", esi, PAGE + 0xffc);
      a.emit("mov", edi, PAGE + 0x200);
      a.emit("mov", ecx, 4);
      a.emitPrefixed("rep", "movsd");
      kernel.note(ecx);
      kernel.note(esi);
      kernel.note(edi);
      kernel.noteMemory(PAGE + 0x208);
      kernel.noteMemory(PAGE + 0x100);
    },
  ),
  restarted("call", "CALL that faults on its push is restarted", "ok; 310ffc 1", (kernel) => {
    const { a } = kernel;
    const inside = a.newLabel();
    a.emit("mov", esp, NEXT + 4);
    a.emit("call", inside);
    a.place(inside);
    a.emit("add", esp, -4);
    a.emit("mov", ebx, esp);
    a.emit("mov", esp, Address.userStack);
    kernel.note(ebx);
    kernel.noteMemory(PAGE + 0x100);
  }),
  restarted(
    "enter",
    "ENTER that faults changes neither ESP nor EBP before it is restarted",
    "ok; 310f0c 31100c 1",
    (kernel) => {
      const { a } = kernel;
      a.emit("mov", esp, NEXT + 16);
      a.emit("enter", 0x100, 0);
      a.emit("mov", ebx, esp);
      a.emit("mov", ecx, dword({ base: esp, displacement: 0x100 }));
      a.bytes([0x89, 0xe9]); // mov ecx, ebp
      a.emit("mov", esp, Address.userStack);
      kernel.note(ebx);
      kernel.note(ecx);
      kernel.noteMemory(PAGE + 0x100);
    },
  ),
  restarted("xadd", "a read-modify-write is restarted whole", "ok; 22222223 22222222 1", (kernel) => {
    const { a } = kernel;
    a.emit("mov", ecx, 1);
    a.emit("xadd", dword({ displacement: NEXT }), ecx);
    kernel.noteMemory(NEXT);
    kernel.note(ecx);
    kernel.noteMemory(PAGE + 0x100);
  }),
];

const tlbChecks: SystemCheck[] = [
  paged(
    "tlb.invlpg",
    "INVLPG makes a changed entry count",
    "ok; 1111 2222",
    (kernel) => {
      kernel.store(PAGE, 0x1111);
      kernel.store(NEXT, 0x2222);
    },
    (kernel) => {
      const { a } = kernel;
      kernel.noteMemory(PAGE);
      a.emit("mov", dword({ displacement: Address.tables + (PAGE >>> 12) * 4 }), NEXT | 7);
      a.emit("invlpg", byte({ displacement: PAGE }));
      kernel.noteMemory(PAGE);
    },
  ),
  paged(
    "tlb.cr3",
    "a load of CR3 flushes the TLB",
    "ok; 1111 2222",
    (kernel) => {
      kernel.store(PAGE, 0x1111);
      kernel.store(NEXT, 0x2222);
    },
    (kernel) => {
      const { a } = kernel;
      kernel.noteMemory(PAGE);
      a.emit("mov", dword({ displacement: Address.tables + (PAGE >>> 12) * 4 }), NEXT | 7);
      a.emit("mov", eax, cr3);
      a.emit("mov", cr3, eax);
      kernel.noteMemory(PAGE);
    },
  ),
  paged(
    "tlb.moreRights",
    "rights that were widened in the table count at the next access, whatever the TLB holds",
    "ok; 67",
    map(5),
    (kernel) => {
      read(kernel);
      kernel.a.emit("mov", dword({ displacement: Address.tables + (PAGE >>> 12) * 4 }), PAGE | 7);
      write(kernel);
      entryBits(kernel, PAGE);
    },
    0,
    WP,
  ),
  paged(
    "off",
    "with paging off again addresses are physical",
    "ok; 1111",
    (kernel) => {
      kernel.store(PAGE, 0x1111);
      kernel.mapPage(PAGE, 0);
    },
    (kernel) => {
      const { a } = kernel;
      a.emit("mov", eax, cr0);
      a.emit("and", eax, 0x7fff_ffff);
      a.emit("mov", cr0, eax);
      kernel.noteMemory(PAGE);
    },
  ),
  {
    name: "paging.invalidCr0",
    rule: "setting PG without PE, or NW without CD, is #GP(0)",
    expect: "#0d(0000)",
    code(kernel) {
      const { a } = kernel;
      a.emit("mov", eax, cr0);
      a.emit("or", eax, 0x2000_0000);
      a.emit("and", eax, 0xbfff_ffff | 0);
      kernel.at();
      a.emit("mov", cr0, eax);
      kernel.finish();
    },
  },
  {
    name: "code.selfModifying",
    rule: "a store into code counts for the next execution of that code",
    expect: "ok; 1 2 3",
    code(kernel) {
      const { a } = kernel;
      // mov ecx, imm32; ret in the scratch page.
      a.emit("mov", byte({ displacement: PAGE }), 0xb9);
      kernel.store(PAGE + 1, 1);
      a.emit("mov", byte({ displacement: PAGE + 5 }), 0xc3);
      a.emit("mov", edx, PAGE);
      for (let value = 1; value <= 3; value++) {
        kernel.store(PAGE + 1, value);
        a.emit("call", edx);
        kernel.note(ecx);
      }
      kernel.finish();
    },
  },
  {
    name: "code.selfModifying.ahead",
    rule: "a store into the instruction stream ahead counts after a jump",
    expect: "ok; 77",
    code(kernel) {
      const { a } = kernel;
      const target = a.newLabel();
      a.emit("lea", ebx, dword({ displacement: target }));
      a.emit("mov", byte({ base: ebx, displacement: 1 }), 0x77);
      a.emit("jmp", target);
      a.place(target);
      a.bytes([0xb9, 0x55, 0, 0, 0]); // mov ecx, 55h
      kernel.note(ecx);
      kernel.finish();
    },
  },
];

/** Faults while a page fault or a gate is delivered; the double-fault handler is a task, noted by `note` of its link. */
const deliveryChecks: SystemCheck[] = [
  {
    name: "paging.gateStack",
    rule: "a page fault on the inner stack during delivery of INT n is a page fault at INT n, with supervisor rights",
    expect: "#0e(0002) r3 [00310ffc]",
    code(kernel) {
      const { a } = kernel;
      // INT 30h goes to ring 1 on a stack that is absent; the page fault goes to ring 0.
      const handler = a.newLabel();
      kernel.pagingOn();
      kernel.gate(0x30, 0xee, Selector.code1, handler);
      kernel.store(Address.tss + Tss.esp1, NEXT);
      kernel.mapPage(PAGE, 0);
      kernel.enterRing(3);
      kernel.at();
      a.emit("int", 0x30);
      a.place(handler);
      kernel.finishFromRing();
    },
  },
  {
    name: "paging.gdt",
    rule: "an implicit access to an absent GDT page is a supervisor page fault, in ring 3 too",
    expect: "#0e(0000) r3 [00310098]",
    code(kernel) {
      const { a } = kernel;
      // A second GDT in the scratch page: the first 19 entries on the page before would be needed too, so the page is moved.
      kernel.pagingOn();
      kernel.descriptor(Selector.ldt, describe(PAGE + 0x90, 0xff, 0x82));
      a.emit("mov", ax, Selector.ldt);
      a.emit("lldt", ax);
      kernel.mapPage(PAGE, 0);
      kernel.enterRing(3);
      a.emit("mov", ebx, 0x0f);
      kernel.at();
      a.emit("mov", es, bx);
      kernel.finishFromRing();
    },
  },
];

export const pagingChecks: readonly SystemCheck[] = [
  ...codeChecks,
  ...fetchChecks,
  ...bitChecks,
  ...largeChecks,
  ...straddleChecks,
  ...restartChecks,
  ...tlbChecks,
  ...deliveryChecks,
];

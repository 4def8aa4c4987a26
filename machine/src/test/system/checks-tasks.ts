/**
 * Checks of hardware tasks, double faults and shutdown's neighbours. Source of the rules: Pentium Processor Family Developer's
 * Manual, volume 3, chapter 13 (tables 13-1 and 13-2) and chapter 14 (interrupts 8 and 10). Long because it is a table of checks.
 */

import { ax, bx, byte, cr0, dword, eax, ebx, ecx, edx, esp, far, type Label } from "../../i386/assembly.ts";
import { Address, type CheckWriter, describe, Selector, type SystemCheck, Tss } from "./check-writer.ts";

const FLAT = 0xc;
const NT = 0x4000;

const tssType = (kernel: CheckWriter, selector: number): void => {
  kernel.a.emit("movzx", eax, byte({ displacement: Address.gdt + (selector & 0xfff8) + 5 }));
  kernel.note(eax);
};

/** Code in the kernel that a task of TSS A (or B) starts at. */
function taskBody(kernel: CheckWriter, base: number, body: () => void): Label {
  const { a } = kernel;
  const entry = a.newLabel();
  const around = a.newLabel();
  a.emit("jmp", around);
  a.place(entry);
  body();
  a.place(around);
  kernel.storeLabel(base + Tss.eip, entry);
  return entry;
}

function check(name: string, rule: string, expect: string, code: (kernel: CheckWriter) => void): SystemCheck {
  return { name, rule, expect, code };
}

/** A switch to TSS A by far JMP after `spoil`. */
function refused(
  name: string,
  rule: string,
  expect: string,
  spoil: (kernel: CheckWriter) => void,
): SystemCheck {
  return check(`task.${name}`, rule, expect, (kernel) => {
    taskBody(kernel, Address.tssA, () => kernel.finish());
    spoil(kernel);
    kernel.at();
    kernel.a.emit("jmp", far(Selector.tssA, 0));
    kernel.finish();
  });
}

/** A switch whose new task faults at its first instruction, in ring 0 of the new task. */
function inNewTask(name: string, rule: string, expect: string, slot: number, selector: number): SystemCheck {
  return check(`task.${name}`, rule, expect, (kernel) => {
    const { a } = kernel;
    const handler = a.newLabel();
    // Faults go to a task: the new task's own segments may be bad.
    kernel.storeLabel(Address.tssB + Tss.eip, handler);
    for (const vector of [10, 11, 12, 13]) kernel.taskGate(vector, Selector.tssB);
    taskBody(kernel, Address.tssA, () => kernel.finish());
    kernel.store(Address.tssA + Tss.eip, 0x12_3456);
    kernel.descriptor(Selector.slotA, describe(0, 0xf_ffff, 0x13, FLAT));
    kernel.descriptor(Selector.slotB, describe(0, 0xf_ffff, 0x1b, FLAT));
    kernel.store(Address.tssA + slot, selector);
    a.emit("jmp", far(Selector.tssA, 0));
    a.place(handler);
    a.emit("mov", eax, dword({ base: esp }));
    kernel.note(eax);
    kernel.noteMemory(Address.tssB + Tss.link);
    kernel.noteMemory(Address.tssA + Tss.eip);
    kernel.finish();
  });
}

const switchChecks: SystemCheck[] = [
  check(
    "task.jump",
    "JMP to a TSS: the old task is available, the new one busy, no link, NT clear, TS set, the old state saved",
    "ok; 89 8b 0 2 8 5555 8 10",
    (kernel) => {
      const { a } = kernel;
      taskBody(kernel, Address.tssA, () => {
        tssType(kernel, Selector.tss);
        tssType(kernel, Selector.tssA);
        kernel.noteMemory(Address.tssA + Tss.link);
        a.emit("pushfd");
        a.emit("pop", eax);
        a.emit("and", eax, 0x7fd7 & ~0xd5);
        a.emit("or", eax, 2);
        kernel.note(eax);
        a.emit("mov", eax, cr0);
        a.emit("and", eax, 8);
        kernel.note(eax);
        kernel.noteMemory(Address.tss + Tss.eax + 12);
        kernel.noteMemory(Address.tss + Tss.cs);
        kernel.noteMemory(Address.tss + Tss.ds);
        kernel.finish();
      });
      a.emit("mov", ebx, 0x5555);
      a.emit("jmp", far(Selector.tssA, 0x1234));
    },
  ),
  check(
    "task.call",
    "CALL to a TSS: both busy, the link names the old task, NT set; IRET goes back, clears NT in the saved flags, frees the task",
    "ok; 8b 8b 28 4000 89 0 0",
    (kernel) => {
      const { a } = kernel;
      taskBody(kernel, Address.tssA, () => {
        tssType(kernel, Selector.tss);
        tssType(kernel, Selector.tssA);
        kernel.noteMemory(Address.tssA + Tss.link);
        a.emit("pushfd");
        a.emit("pop", eax);
        a.emit("and", eax, NT);
        kernel.note(eax);
        a.emit("iretd");
      });
      a.emit("call", far(Selector.tssA, 0));
      tssType(kernel, Selector.tssA);
      a.emit("mov", eax, dword({ displacement: Address.tssA + Tss.eflags }));
      a.emit("and", eax, NT);
      kernel.note(eax);
      a.emit("pushfd");
      a.emit("pop", eax);
      a.emit("and", eax, NT);
      kernel.note(eax);
      kernel.finish();
    },
  ),
  check("task.savedEip", "the EIP saved by CALL is that of the next instruction", "ok; 0", (kernel) => {
    const { a } = kernel;
    const next = a.newLabel();
    taskBody(kernel, Address.tssA, () => {
      a.emit("lea", eax, dword({ displacement: next }));
      a.emit("sub", eax, dword({ displacement: Address.tss + Tss.eip }));
      kernel.note(eax);
      kernel.finish();
    });
    a.emit("call", far(Selector.tssA, 0));
    a.place(next);
    kernel.finish();
  }),
  check(
    "task.registers",
    "all general registers come from the new TSS",
    "ok; aaaa bbbb cccc dddd 336000",
    (kernel) => {
      const { a } = kernel;
      kernel.store(Address.tssA + Tss.eax, 0xaaaa);
      kernel.store(Address.tssA + Tss.eax + 12, 0xbbbb);
      kernel.store(Address.tssA + Tss.eax + 4, 0xcccc);
      kernel.store(Address.tssA + Tss.eax + 8, 0xdddd);
      taskBody(kernel, Address.tssA, () => {
        kernel.note(eax);
        kernel.note(ebx);
        kernel.note(ecx);
        kernel.note(edx);
        a.emit("mov", ecx, esp);
        kernel.note(ecx);
        kernel.finish();
      });
      a.emit("jmp", far(Selector.tssA, 0));
    },
  ),
  check("task.gate.jump", "JMP through a task gate", "ok; 8b 0", (kernel) => {
    const { a } = kernel;
    kernel.descriptor(Selector.slotA, [Selector.tssA << 16, 0x8500]);
    taskBody(kernel, Address.tssA, () => {
      tssType(kernel, Selector.tssA);
      kernel.noteMemory(Address.tssA + Tss.link);
      kernel.finish();
    });
    a.emit("jmp", far(Selector.slotA, 0));
  }),
  check(
    "task.gate.interrupt",
    "INT through a task gate nests; IRET comes back behind INT",
    "ok; 28 4000 77",
    (kernel) => {
      const { a } = kernel;
      kernel.taskGate(0x30, Selector.tssA);
      taskBody(kernel, Address.tssA, () => {
        kernel.noteMemory(Address.tssA + Tss.link);
        a.emit("pushfd");
        a.emit("pop", eax);
        a.emit("and", eax, NT);
        kernel.note(eax);
        a.emit("iretd");
      });
      a.emit("mov", ebx, 0x77);
      a.emit("int", 0x30);
      kernel.note(ebx);
      kernel.finish();
    },
  ),
  check(
    "task.gate.again",
    "after IRET the task goes on behind its IRET when it is entered again",
    "ok; 1 2",
    (kernel) => {
      const { a } = kernel;
      kernel.taskGate(0x30, Selector.tssA);
      taskBody(kernel, Address.tssA, () => {
        a.emit("mov", ecx, 1);
        kernel.note(ecx);
        a.emit("iretd");
        a.emit("inc", ecx);
        kernel.note(ecx);
        a.emit("iretd");
      });
      a.emit("int", 0x30);
      a.emit("int", 0x30);
      kernel.finish();
    },
  ),
  check(
    "task.gate.errorCode",
    "a fault through a task gate pushes its error code on the new task's stack",
    "ok; f8 335ffc",
    (kernel) => {
      const { a } = kernel;
      kernel.taskGate(13, Selector.tssA);
      taskBody(kernel, Address.tssA, () => {
        a.emit("mov", eax, dword({ base: esp }));
        kernel.note(eax);
        a.emit("mov", ecx, esp);
        kernel.note(ecx);
        kernel.finish();
      });
      a.emit("mov", bx, 0xf8);
      a.bytes([0x8e, 0xdb]); // mov ds, bx
    },
  ),
  check(
    "task.gate.restart",
    "the fault's task returns to the instruction that faulted",
    "ok; 1 5555",
    (kernel) => {
      const { a } = kernel;
      kernel.taskGate(13, Selector.tssA);
      kernel.descriptor(Selector.slotA, describe(0, 0xf_ffff, 0x91, FLAT));
      kernel.store(Address.scratch, 0);
      taskBody(kernel, Address.tssA, () => {
        a.emit("inc", dword({ displacement: Address.scratch }));
        // The faulting task loads its segments anew when it is resumed: now the segment is writable.
        kernel.descriptor(Selector.slotA, describe(0, 0xf_ffff, 0x93, FLAT));
        a.emit("add", esp, 4);
        a.emit("iretd");
      });
      a.emit("mov", ax, Selector.slotA);
      a.bytes([0x8e, 0xe0]); // mov fs, ax
      a.emit("mov", ebx, 0x5555);
      a.bytes([0x64, 0x89, 0x1d]); // mov fs:[scratch + 4], ebx
      a.dword(Address.scratch + 4);
      kernel.noteMemory(Address.scratch);
      kernel.noteMemory(Address.scratch + 4);
      kernel.finish();
    },
  ),
  check("task.ring3", "a task may start in ring 3", "ok; 1b 23", (kernel) => {
    const { a } = kernel;
    kernel.store(Address.tssA + Tss.cs, Selector.userCode);
    for (const slot of [Tss.ss, Tss.ds, Tss.es]) {
      kernel.store(Address.tssA + slot, Selector.userData);
    }
    taskBody(kernel, Address.tssA, () => {
      a.bytes([0x8c, 0xc8]); // mov eax, cs
      kernel.note(eax);
      a.bytes([0x8c, 0xd0]); // mov eax, ss
      kernel.note(eax);
      kernel.finishFromRing();
    });
    a.emit("jmp", far(Selector.tssA, 0));
  }),
  check("task.cr3", "with paging on the switch loads CR3", "ok; 1111 2222", (kernel) => {
    const { a } = kernel;
    const directory = 0x34_0000;
    const table = 0x34_1000;
    // The new task's directory: the same, but the scratch page shows the one behind it.
    kernel.store(Address.scratch, 0x1111);
    kernel.store(Address.scratch + 0x1000, 0x2222);
    a.emit("mov", ecx, 1024);
    const copy = a.newLabel();
    a.place(copy);
    for (const [to, from] of [
      [directory, Address.directory],
      [table, Address.tables],
    ] as const) {
      a.emit("mov", eax, dword({ index: ecx, scale: 4, displacement: from - 4 }));
      a.emit("mov", dword({ index: ecx, scale: 4, displacement: to - 4 }), eax);
    }
    a.emit("dec", ecx);
    a.emit("jnz", copy);
    kernel.store(directory, table | 7);
    kernel.store(table + (Address.scratch >>> 12) * 4, (Address.scratch + 0x1000) | 7);
    kernel.store(Address.tssA + Tss.cr3, directory);
    taskBody(kernel, Address.tssA, () => {
      kernel.noteMemory(Address.scratch);
      kernel.finish();
    });
    kernel.pagingOn();
    kernel.noteMemory(Address.scratch);
    a.emit("jmp", far(Selector.tssA, 0));
  }),
  check("task.trap", "T in the new TSS: #DB with BT before its first instruction", "ok; 8000 0", (kernel) => {
    const { a } = kernel;
    const handler = a.newLabel();
    kernel.gate(1, 0x8e, Selector.code, handler);
    kernel.store(Address.tssA + Tss.trap, 1);
    const entry = taskBody(kernel, Address.tssA, () => kernel.finish());
    a.emit("jmp", far(Selector.tssA, 0));
    a.place(handler);
    a.bytes([0x0f, 0x21, 0xf0]); // mov eax, dr6
    a.emit("and", eax, 0xe00f);
    kernel.note(eax);
    a.emit("lea", eax, dword({ displacement: entry }));
    a.emit("sub", eax, dword({ base: esp }));
    kernel.note(eax);
    kernel.finish();
  }),
];

const refusedChecks: SystemCheck[] = [
  check("task.busy.jump", "JMP to a busy TSS is #GP(TSS)", "#0d(0028)", (kernel) => {
    kernel.at();
    kernel.a.emit("jmp", far(Selector.tss, 0));
  }),
  check("task.busy.call", "CALL to a busy TSS is #GP(TSS)", "#0d(0028)", (kernel) => {
    kernel.at();
    kernel.a.emit("call", far(Selector.tss, 0));
  }),
  refused("absent", "an absent TSS is #NP(TSS)", "#0b(0030)", (kernel) => {
    kernel.descriptor(Selector.tssA, describe(Address.tssA, 0x67, 0x09));
  }),
  refused("short", "a TSS whose limit is below 67H is #TS(TSS)", "#0a(0030)", (kernel) => {
    kernel.descriptor(Selector.tssA, describe(Address.tssA, 0x66, 0x89));
  }),
  check("task.interrupt.busy", "INT through a task gate to a busy TSS is #GP(TSS)", "#0d(0028)", (kernel) => {
    kernel.taskGate(0x30, Selector.tss);
    kernel.at();
    kernel.a.emit("int", 0x30);
  }),
  check(
    "task.interrupt.absent",
    "INT through a task gate to an absent TSS is #NP(TSS)",
    "#0b(0030)",
    (kernel) => {
      kernel.descriptor(Selector.tssA, describe(Address.tssA, 0x67, 0x09));
      kernel.taskGate(0x30, Selector.tssA);
      kernel.at();
      kernel.a.emit("int", 0x30);
    },
  ),
  check(
    "task.interrupt.local",
    "a task gate with an LDT selector is #GP(selector)",
    "#0d(000c)",
    (kernel) => {
      kernel.taskGate(0x30, Selector.local);
      kernel.at();
      kernel.a.emit("int", 0x30);
    },
  ),
  check("task.gate.dpl", "a task gate with DPL below CPL is #GP(gate)", "#0d(0098) r3", (kernel) => {
    kernel.descriptor(Selector.slotA, [Selector.tssA << 16, 0x8500]);
    kernel.enterRing(3);
    kernel.at();
    kernel.a.emit("call", far(Selector.slotA, 0));
  }),
  check("task.gate.absent", "an absent task gate is #NP(gate)", "#0b(0098)", (kernel) => {
    kernel.descriptor(Selector.slotA, [Selector.tssA << 16, 0x0500]);
    kernel.at();
    kernel.a.emit("call", far(Selector.slotA, 0));
  }),
  check("task.iret.link", "IRET with NT to a TSS that is not busy is #TS(TSS)", "#0a(0030)", (kernel) => {
    const { a } = kernel;
    kernel.store(Address.tss + Tss.link, Selector.tssA);
    a.emit("push", NT | 2);
    a.emit("popfd");
    kernel.at();
    a.emit("iretd");
  }),
  check("task.iret.null", "IRET with NT and a link that is no TSS is #TS(link)", "#0a(0010)", (kernel) => {
    const { a } = kernel;
    kernel.store(Address.tss + Tss.link, Selector.data);
    a.emit("push", NT | 2);
    a.emit("popfd");
    kernel.at();
    a.emit("iretd");
  }),
  inNewTask("new.ssNull", "a null SS is #TS(0) in the new task", "ok; 0 30 123456", Tss.ss, 0),
  inNewTask(
    "new.ssOutside",
    "SS beyond the GDT is #TS(selector) in the new task",
    "ok; f8 30 123456",
    Tss.ss,
    0xf8,
  ),
  inNewTask(
    "new.ssDpl",
    "SS of another ring is #TS(selector)",
    "ok; 20 30 123456",
    Tss.ss,
    Selector.userData,
  ),
  inNewTask("new.ssAbsent", "an absent SS is #SS(selector)", "ok; 98 30 123456", Tss.ss, Selector.slotA),
  inNewTask("new.csData", "CS that is no code is #TS(selector)", "ok; 10 30 123456", Tss.cs, Selector.data),
  inNewTask("new.csNull", "a null CS is #TS(0)", "ok; 0 30 123456", Tss.cs, 0),
  inNewTask("new.csAbsent", "an absent CS is #NP(selector)", "ok; a0 30 123456", Tss.cs, Selector.slotB),
  inNewTask("new.dsAbsent", "an absent DS is #NP(selector)", "ok; 98 30 123456", Tss.ds, Selector.slotA),
  inNewTask(
    "new.dsSystem",
    "DS that is a system segment is #TS(selector)",
    "ok; 28 30 123456",
    Tss.ds,
    Selector.tss,
  ),
  inNewTask("new.esOutside", "ES beyond the GDT is #TS(selector)", "ok; f8 30 123456", Tss.es, 0xf8),
  inNewTask(
    "new.ldt",
    "an LDT selector that is no LDT is #TS(selector)",
    "ok; 10 30 123456",
    Tss.ldt,
    Selector.data,
  ),
];

const doubleChecks: SystemCheck[] = [
  check("double.gp", "a contributory exception while one is delivered is #DF(0)", "#08(0000)", (kernel) => {
    // #GP has no gate: #NP of the gate, contributory, while #GP is delivered.
    kernel.gateType(13, 0x0e);
    kernel.a.emit("mov", bx, 0xf8);
    kernel.at();
    kernel.a.bytes([0x8e, 0xe3]); // mov fs, bx
  }),
  check(
    "double.benign",
    "a contributory exception while a benign one is delivered is itself delivered, with EXT",
    "#0b(0033)",
    (kernel) => {
      kernel.gateType(6, 0x0e);
      kernel.at();
      kernel.a.emit("ud2");
    },
  ),
  check("double.int", "for INT n the EXT bit is clear", "#0b(0182)", (kernel) => {
    kernel.gateType(0x30, 0x0e);
    kernel.at();
    kernel.a.emit("int", 0x30);
  }),
  check("double.divide", "#DE is contributory", "#08(0000)", (kernel) => {
    const { a } = kernel;
    kernel.gateType(0, 0x0e);
    a.emit("xor", ebx, ebx);
    kernel.at();
    a.emit("div", ebx);
  }),
  check(
    "double.pageFault",
    "a contributory exception while a page fault is delivered is #DF",
    "#08(0000)",
    (kernel) => {
      kernel.pagingOn();
      kernel.mapPage(Address.scratch, 0);
      kernel.gateType(14, 0x0e);
      kernel.at();
      kernel.a.emit("mov", eax, dword({ displacement: Address.scratch }));
    },
  ),
  check(
    "double.pageFault.inContributory",
    "a page fault while a contributory exception is delivered is delivered",
    "#0e(0000) [00310068]",
    (kernel) => {
      const { a } = kernel;
      kernel.pagingOn();
      // #GP's gate leads to a code segment whose descriptor lies in an absent LDT page.
      kernel.descriptor(Selector.ldt, describe(Address.scratch + 0x60, 0xff, 0x82));
      a.emit("mov", ax, Selector.ldt);
      a.emit("lldt", ax);
      kernel.store(Address.idt + 13 * 8, 0x0c << 16);
      kernel.mapPage(Address.scratch, 0);
      a.emit("mov", bx, 0xf8);
      kernel.at();
      a.bytes([0x8e, 0xe3]); // mov fs, bx
    },
  ),
  check(
    "double.twoPageFaults",
    "a page fault while a page fault is delivered is #DF",
    "#08(0000)",
    (kernel) => {
      const { a } = kernel;
      kernel.pagingOn();
      kernel.descriptor(Selector.ldt, describe(Address.scratch + 0x60, 0xff, 0x82));
      a.emit("mov", ax, Selector.ldt);
      a.emit("lldt", ax);
      kernel.store(Address.idt + 14 * 8, 0x0c << 16);
      kernel.mapPage(Address.scratch, 0);
      kernel.at();
      a.emit("mov", eax, dword({ displacement: Address.scratch + 0x800 }));
    },
  ),
  check(
    "double.task",
    "a fault that cannot push its frame becomes a double fault, which a task gate takes on its own stack: code 0, the old task's EIP",
    "ok; 0 28 0 310000",
    (kernel) => {
      const { a } = kernel;
      const faulting = a.newLabel();
      kernel.pagingOn();
      kernel.taskGate(8, Selector.tssB);
      const handler = a.newLabel();
      kernel.storeLabel(Address.tssB + Tss.eip, handler);
      kernel.mapPage(Address.scratch, 0);
      a.emit("mov", esp, Address.scratch + 0x1000);
      a.emit("mov", ebx, Address.scratch);
      a.place(faulting);
      a.emit("mov", eax, dword({ base: ebx }));
      a.place(handler);
      a.emit("mov", eax, dword({ base: esp }));
      kernel.note(eax);
      kernel.noteMemory(Address.tssB + Tss.link);
      a.emit("lea", eax, dword({ displacement: faulting }));
      a.emit("sub", eax, dword({ displacement: Address.tss + Tss.eip }));
      kernel.note(eax);
      a.emit("mov", eax, dword({ displacement: Address.tss + Tss.eax + 12 }));
      kernel.note(eax);
      kernel.finish();
    },
  ),
];

export const taskChecks: readonly SystemCheck[] = [...switchChecks, ...refusedChecks, ...doubleChecks];

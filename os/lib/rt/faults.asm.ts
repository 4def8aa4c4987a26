/** Registers of fault handling (faults.ts). The offsets are those of FaultFrame (os/interfaces/IFaults.ts). */

import type { Assembler } from "@rialto/machine/i386/assembler.ts";
import {
  dword,
  eax,
  ebp,
  ebx,
  ecx,
  edi,
  edx,
  esi,
  esp,
  memory,
  symbol,
} from "@rialto/machine/i386/assembly.ts";

const FRAME = { eax: 20, ebx: 24, ecx: 28, edx: 32, esi: 36, edi: 40, ebp: 44, esp: 48, eip: 52, eflags: 56 };

export function assemble(a: Assembler): void {
  // attemptCall(context, run, argument): context = ebx esi edi ebp, esp and eip of the place where it returns
  a.label("attemptCall");
  a.emit("mov", eax, dword({ base: esp, displacement: 4 }));
  a.emit("mov", dword({ base: eax }), ebx);
  a.emit("mov", dword({ base: eax, displacement: 4 }), esi);
  a.emit("mov", dword({ base: eax, displacement: 8 }), edi);
  a.emit("mov", dword({ base: eax, displacement: 12 }), ebp);
  a.emit("mov", dword({ base: eax, displacement: 16 }), esp);
  a.emit("mov", ecx, symbol("attemptOver"));
  a.emit("mov", dword({ base: eax, displacement: 20 }), ecx);
  a.emit("push", dword({ base: esp, displacement: 12 }));
  a.emit("call", dword({ base: esp, displacement: 12 }));
  a.emit("add", esp, 4);
  a.label("attemptOver");
  a.emit("ret");

  // faultDispatcher(): address of faultArrived
  a.label("faultDispatcher");
  a.emit("mov", eax, symbol("faultArrived"));
  a.emit("ret");

  // resumeFrame(frame): goes on with the frame's registers. What they are popped from lies below the new stack pointer, which is above
  // the frame: the kernel leaves room between the two.
  const field = (offset: number) => dword({ base: edx, displacement: offset });
  a.label("resumeFrame");
  a.emit("mov", edx, dword({ base: esp, displacement: 4 }));
  a.emit("mov", eax, field(FRAME.esp));
  for (const [offset, below] of [
    [FRAME.eip, 4],
    [FRAME.eflags, 8],
    [FRAME.eax, 12],
    [FRAME.edx, 16],
  ] as const) {
    a.emit("mov", ecx, field(offset));
    a.emit("mov", dword({ base: eax, displacement: -below }), ecx);
  }
  a.emit("mov", ebx, field(FRAME.ebx));
  a.emit("mov", esi, field(FRAME.esi));
  a.emit("mov", edi, field(FRAME.edi));
  a.emit("mov", ebp, field(FRAME.ebp));
  a.emit("mov", ecx, field(FRAME.ecx));
  a.emit("lea", esp, memory({ base: eax, displacement: -16 }));
  a.emit("pop", edx);
  a.emit("pop", eax);
  a.emit("popfd");
  a.emit("ret");
}

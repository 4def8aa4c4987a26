/**
 * `rialto machine KERNEL`: boots any multiboot kernel on the Pentium machine, as `qemu-system-i386 -kernel` does.
 */
import type { Command } from "commander";
import { JIT_FLAG, JIT_HELP } from "../jit-flag.ts";
import { MAC_FLAG, MAC_HELP, NET_FLAG, NET_HELP, type NetworkFlags } from "../network/network-flags.ts";
import {
  addObservationOptions,
  OBSERVATION_HELP,
  type ProfileFlags,
  parseObservation,
  type TraceFlags,
} from "../observation-flags.ts";
import { RECORDING_HELP, type RecordingFlags } from "../recorded-run-flags.ts";

interface MachineFlags extends RecordingFlags, NetworkFlags, TraceFlags, ProfileFlags {
  readonly module?: readonly string[];
  readonly memory: string;
  readonly jit?: string;
  readonly cycleModel: string;
  readonly append?: string;
  readonly stats?: string;
  readonly screen?: string;
  readonly debugConsole?: string;
  readonly gdb?: string;
}

const EXAMPLES = `
The first serial port is the terminal (Ctrl-A x ends the run, Ctrl-C goes to the guest); with input from a file or
/dev/null the machine does not wait for the wall clock. The guest ends the run by a write to port 0xf4 (exit status
(value << 1) | 1, as QEMU's isa-debug-exit), by the monitor port (any status), or by powering off (0).

Examples:
  rialto machine kernel.elf --memory 32M --append "quiet root=archive"
  rialto machine kernel.elf --gdb 1234      then: gdb kernel.elf -ex "target remote :1234"
  rialto machine kernel.elf --net 4040      on the switch that 'rialto network' opened
  rialto machine kernel.elf --module "disk.img archive" --module "lines.txt script"
${RECORDING_HELP}${OBSERVATION_HELP}
Of another kernel than Rialto's, names come from the kernel file's symbols and DWARF lines; every page directory counts as a thread and
process of its own ("space 0x101000"), and a switch is seen where the kernel returns from ring 0 to another than before.
`;

const collect = (value: string, values: readonly string[] = []): string[] => [...values, value];

export function register(program: Command): void {
  addObservationOptions(program.command("machine <kernel>"))
    .description("boot a multiboot kernel on the Pentium machine")
    .option("--module <file-and-arguments>", "load a module with the kernel (repeatable)", collect)
    .option("-m, --memory <size>", "size of RAM", "16M")
    .option(JIT_FLAG, JIT_HELP)
    .option(
      "--cycle-model <name>",
      "fast; detailed (adds caches and pairing, and is slower); instructions",
      "fast",
    )
    .option("--append <text>", "add to the kernel's command line")
    .option(NET_FLAG, NET_HELP)
    .option(MAC_FLAG, MAC_HELP)
    .option("--stats <file>", "write counts of the run as JSON")
    .option("--screen <file>", "write the screen at the end: a pixmap (PPM), or text in text mode")
    .option("--debug-console <file>", "write what the guest sends to port 0xe9 ('-' is stderr)")
    .option("--record <file>", "write what comes into the machine, to replay the run")
    .option("--replay <file>", "run as recorded, and compare")
    .option("--hash-every <cycles>", "put a hash of the state into the recording every so many cycles")
    .option("--gdb <port>", "wait for GDB on a TCP port of the loopback before the first instruction")
    .addHelpText("after", EXAMPLES)
    .action(async (kernel: string, flags: MachineFlags) => {
      const { runMachine } = await import("../machine-run.ts");
      process.exitCode = await runMachine(kernel, { ...flags, observation: parseObservation(flags) });
    });
}

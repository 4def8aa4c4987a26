/** `rialto debug`: boots the system under GDB, from its first instruction on. */
import type { Command } from "commander";

interface DebugFlags {
  readonly exec: readonly string[];
  readonly script?: string;
  readonly place: readonly string[];
  readonly set: readonly string[];
  readonly memory: string;
  readonly port: string;
  readonly console?: string;
  readonly gdb: boolean;
}

const EXAMPLES = `
The machine is held before its first instruction. With GDB installed and a terminal, GDB starts with the symbols of the kernel and
of every image, and the guest's console is on a TCP port of the loopback (nc shows it). Otherwise the command line for GDB is
printed and the console is on the standard streams. When GDB detaches, the guest goes on; another GDB may come.

An address means what it means to the code of the thread: one breakpoint in a program stops it in a process and in the kernel.
Before paging, the kernel's first instructions run at physical addresses: break *0x10c640 and the like.

In GDB: info threads (Rialto's threads), monitor help (processes, images, registers of the system, statistics).

Examples:
  rialto debug
  rialto debug --exec "run hello" --exec "run -k hello" --port 1234 --no-gdb
`;

const collect = (value: string, values: readonly string[]): string[] => [...values, value];

export function register(program: Command): void {
  program
    .command("debug")
    .description("build the system and boot it under GDB")
    .option("--exec <line>", "run a shell line, then power off (repeatable)", collect, [])
    .option("--script <file>", "run the shell lines of a file, then power off")
    .option(
      "--place <service=where>",
      "start a service in the kernel or in a process (repeatable)",
      collect,
      [],
    )
    .option("--set <key=value>", "set a boot option (repeatable)", collect, [])
    .option("-m, --memory <size>", "size of RAM", "16M")
    .option("--port <port>", "TCP port for GDB (0: any that is free)", "0")
    .option("--console <port>", "put the guest's console on a TCP port")
    .option("--no-gdb", "serve only: do not start GDB")
    .addHelpText("after", EXAMPLES)
    .action(async (flags: DebugFlags) => {
      const { debug } = await import("../debug-run.ts");
      const { bootOptions, scriptOf } = await import("../boot-flags.ts");
      const { parsePort } = await import("../tcp-port.ts");
      const { parseMemorySize } = await import("../sizes.ts");
      process.exitCode = await debug({
        script: scriptOf(flags.exec, flags.script),
        options: bootOptions(flags.place, flags.set),
        memory: parseMemorySize(flags.memory),
        port: parsePort(flags.port, "--port"),
        consolePort: parsePort(flags.console, "--console"),
        start: flags.gdb,
      });
    });
}

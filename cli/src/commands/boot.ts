/** `rialto boot`: builds what has changed and boots the system to its prompt, or runs shell lines and powers off. */
import type { Command } from "commander";
import type { BootHost } from "../boot.ts";
import { UsageError } from "../errors.ts";
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
import { parseSnapshotFlags, SNAPSHOT_HELP, type SnapshotFlags } from "../snapshot-flags.ts";
import { STATISTICS_HELP } from "../statistics-help.ts";

interface BootFlags extends RecordingFlags, SnapshotFlags, TraceFlags, ProfileFlags, NetworkFlags {
  readonly from?: string;
  readonly on: string;
  readonly exec: readonly string[];
  readonly script?: string;
  readonly place: readonly string[];
  readonly set: readonly string[];
  readonly memory: string;
  readonly jit?: string;
  readonly cycleModel: string;
  readonly stats?: string;
  readonly gdb?: string;
}

const EXAMPLES = `
Without --exec or --script the terminal is the console: Ctrl-C ends the program in the foreground, Ctrl-D at the prompt
(or poweroff) ends the machine, Ctrl-A x leaves at once. With them the exit status is that of the first line that failed; 125 if the kernel panicked.

Examples:
  rialto boot
  rialto boot --exec "run hello" --exec "run -k hello"
  rialto boot --place console=process --place bootfs=kernel --exec ps
  rialto boot --on qemu --script lines.txt
  rialto boot --record session.jsonl --hash-every 75000000     then: rialto boot --replay session.jsonl
  rialto boot --snapshot prompt.snapshot --snapshot-after 1       then: rialto boot --from prompt.snapshot
${RECORDING_HELP}${SNAPSHOT_HELP}${OBSERVATION_HELP}${STATISTICS_HELP}`;

const collect = (value: string, values: readonly string[]): string[] => [...values, value];

/** What a snapshot has decided already. */
function refuseWithSnapshot(flags: BootFlags, command: Command): void {
  const given = [
    "exec",
    "script",
    "place",
    "set",
    "memory",
    "cycleModel",
    "gdb",
    "trace",
    "profile",
    "net",
    "mac",
  ].filter((name) => command.getOptionValueSource(name) === "cli");
  if (given.length === 0) return;
  throw new UsageError(
    `--from ${flags.from} with ${given.map((name) => `--${name.replace("cycleModel", "cycle-model")}`).join(", ")}: a snapshot goes on with what it was booted with; leave one of them out`,
  );
}

export function register(program: Command): void {
  addObservationOptions(program.command("boot"))
    .description("build the system and boot it")
    .option("--on <machine>", "rialto (ours) or qemu", "rialto")
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
    .option(JIT_FLAG, JIT_HELP)
    .option(
      "--cycle-model <name>",
      "fast; detailed (adds caches and pairing, and is slower); instructions",
      "fast",
    )
    .option(NET_FLAG, NET_HELP)
    .option(MAC_FLAG, MAC_HELP)
    .option("--stats <file>", "write counts of the run as JSON")
    .option("--record <file>", "write what comes into the machine, to replay the run")
    .option("--replay <file>", "run as recorded, and compare")
    .option("--hash-every <cycles>", "put a hash of the state into the recording every so many cycles")
    .option("--snapshot <file>", "save the machine when the run is left")
    .option("--snapshot-after <seconds>", "leave after so much guest time")
    .option("--from <file>", "go on from a snapshot instead of booting")
    .option("--gdb <port>", "wait for GDB on a TCP port of the loopback before the first instruction")
    .addHelpText("after", EXAMPLES)
    .action(async (flags: BootFlags, command: Command) => {
      const { boot } = await import("../boot.ts");
      const { bootOptions, parseHost, scriptOf } = await import("../boot-flags.ts");
      const { parseCycleModel } = await import("../cycle-model-flag.ts");
      const { parseJit } = await import("../jit-flag.ts");
      const { parseMemorySize } = await import("../sizes.ts");
      const { debugWithGdb } = await import("../gdb-server.ts");
      const { parseNetworkFlags } = await import("../network/network-flags.ts");
      const { parsePort } = await import("../tcp-port.ts");
      const { parseRecordingFlags } = await import("../recorded-run-flags.ts");
      const port = parsePort(flags.gdb, "--gdb");
      const recording = parseRecordingFlags(flags);
      if (recording && port !== undefined) {
        throw new UsageError(
          "--gdb with --record or --replay: a debugger changes the moments of input; take one of them",
        );
      }
      if (flags.from !== undefined) refuseWithSnapshot(flags, command);
      const observation = parseObservation(flags);
      const on: BootHost = parseHost(flags.on);
      process.exitCode = await boot({
        on,
        script: scriptOf(flags.exec, flags.script),
        options: bootOptions(flags.place, flags.set),
        memory: parseMemorySize(flags.memory),
        jit: parseJit(flags.jit),
        cycleModel: parseCycleModel(flags.cycleModel),
        stats: flags.stats,
        observation,
        recording,
        network: parseNetworkFlags(flags),
        snapshot: parseSnapshotFlags(flags),
        from: flags.from,
        debug: port === undefined ? undefined : debugWithGdb({ port }),
      });
    });
}

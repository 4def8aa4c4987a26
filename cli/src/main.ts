/**
 * The `rialto` command: finds the subcommand's file, runs it, and turns errors into messages and exit codes.
 *
 * A subcommand NAME is the file `commands/NAME.ts`, which exports `register(program: Command): void`. Only the file of the
 * command that is called is imported (all of them for help), and a command imports what it needs inside its action: so
 * starting stays fast whatever other commands need.
 *
 * Exit codes: 0 success, 1 failure, 2 wrong usage; a guest's own exit status where a command runs a guest.
 */
import { readdirSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { UsageError, UserError } from "./errors.ts";
import { nearest } from "./nearest.ts";

interface CommandFile {
  readonly register: (program: Command) => void;
}

/** Errors of the machine and the toolchain about their input; known by name, so that neither is imported here. */
const USER_ERROR_NAMES: ReadonlySet<string> = new Set(["MultibootError", "BuildError"]);

const FOLDER = new URL("./commands/", import.meta.url);

export function commandNames(): string[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    .map((file) => file.slice(0, -3))
    .sort();
}

async function registerCommand(program: Command, name: string): Promise<void> {
  const file = (await import(new URL(`${name}.ts`, FOLDER).href)) as CommandFile;
  file.register(program);
}

function createProgram(): Command {
  return new Command("rialto")
    .description("The Rialto operating system: one binary runs as a process or inside the kernel.")
    .version("0.1.0", "-V, --version", "print the version")
    .helpOption("-h, --help", "show help")
    .helpCommand("help [command]", "show help of a command")
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .showSuggestionAfterError(true);
}

/** Commander's own refusals are about usage; help and version are no errors. */
function exitCodeOf(error: CommanderError): number {
  return error.exitCode === 0 ? 0 : 2;
}

async function runProgram(argv: readonly string[]): Promise<number> {
  const program = createProgram();
  const words = argv.slice(2);
  const [first, second] = words.filter((word) => !word.startsWith("-"));
  const names = commandNames();
  const called = first === "help" ? second : first;
  if (called !== undefined && called !== "help" && !names.includes(called)) {
    const suggestion = nearest(called, names);
    throw new UsageError(
      `no command '${called}'.${suggestion ? ` Did you mean '${suggestion}'?` : ""} 'rialto help' lists the commands.`,
    );
  }
  const wantsAll = first === undefined || first === "help";
  for (const name of wantsAll ? names : [first]) await registerCommand(program, name);
  for (const command of program.commands) command.exitOverride().configureOutput({ outputError: () => {} });
  if (words.length === 0) {
    program.outputHelp();
    return 0;
  }
  await program.parseAsync([...argv]);
  return typeof process.exitCode === "number" ? process.exitCode : 0;
}

export async function main(argv: readonly string[]): Promise<void> {
  // Whoever read our output has gone (`rialto … | head`): nothing is left to say, to nobody.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exitCode ??= 141;
  });
  try {
    process.exitCode = await runProgram(argv);
  } catch (error) {
    process.exitCode = report(
      error,
      argv.slice(2).find((word) => !word.startsWith("-")),
    );
  }
}

/** Prints what the user needs to know and returns the exit code. */
function report(error: unknown, command: string | undefined): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0;
    const hint = command === undefined ? "" : `\nTry 'rialto ${command} --help'.`;
    process.stderr.write(`rialto: ${error.message.replace(/^error: /, "")}${hint}\n`);
    return exitCodeOf(error);
  }
  if (error instanceof UserError) {
    process.stderr.write(`rialto: ${error.message}\n`);
    return error.exitCode;
  }
  if (error instanceof Error && USER_ERROR_NAMES.has(error.name)) {
    process.stderr.write(`rialto: ${error.message}\n`);
    return 1;
  }
  // Anything else is a defect of this program: the stack is what its maintainers need.
  process.stderr.write(`rialto: internal error: ${error instanceof Error ? error.stack : String(error)}\n`);
  return 1;
}

/** A GDB server around the machine of a command: held at its first instruction until GDB lets it go. */
import { readFileSync } from "node:fs";
import { readElfSymbols } from "@rialto/debugger/elf-symbols.ts";
import { loadKernelLayout } from "@rialto/debugger/host/kernel-layout.ts";
import { type GdbServer, serveGdb } from "@rialto/debugger/host/server.ts";
import { PentiumTarget } from "@rialto/debugger/pentium-target.ts";
import type { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import { REPOSITORY } from "@rialto/toolchain/build/system.ts";
import type { Session, SessionMachine } from "./session.ts";
import { listenError } from "./tcp-port.ts";

export interface Debugged {
  /** What the session runs instead of the board. */
  readonly machine: SessionMachine;
  /** To be asked for every byte that the guest puts out: false when it was put out before the debugger went back. */
  isNewOutput(): boolean;
  /** The session that runs it exists. */
  started(session: Session): void;
  close(): Promise<void>;
}

export type DebugHook = (pc: PentiumPc, kernelFile: string) => Promise<Debugged>;

export interface GdbOptions {
  /** 0 for any that is free. */
  readonly port: number;
  /** The server listens on this port; by default says so on stderr. */
  readonly onListening?: (port: number) => void;
  readonly onStarted?: (session: Session) => void;
}

function announce(port: number): void {
  process.stderr.write(`rialto: waiting for GDB: target remote 127.0.0.1:${port}\n`);
}

export function debugWithGdb({ port, onListening = announce, onStarted }: GdbOptions): DebugHook {
  return async (pc, kernelFile) => {
    let session: Session | undefined;
    const target = new PentiumTarget(pc, {
      symbols: readElfSymbols(readFileSync(kernelFile)),
      layout: loadKernelLayout(REPOSITORY),
      wake: () => session?.wake(),
      quit: () => session?.quit("ended by GDB", 0),
      history: {},
    });
    let server: GdbServer;
    try {
      server = await serveGdb({ target, port });
    } catch (error) {
      throw listenError(error, port, "--gdb");
    }
    onListening(server.port);
    return {
      machine: target,
      isNewOutput: () => target.isNewOutput(),
      started(running) {
        session = running;
        onStarted?.(running);
      },
      close: () => server.close(),
    };
  };
}

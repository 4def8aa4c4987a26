/** `rialto network`: an Ethernet switch that machines, ours and QEMU's, join. */
import type { Command } from "commander";

interface NetworkCommandFlags {
  readonly port: string;
  readonly hostServices?: boolean;
  readonly verbose?: boolean;
}

const HELP = `
The switch runs until Ctrl-C. Every connection is a cable; frames travel as QEMU's stream networks carry them.

Examples:
  rialto network --port 4040 --host-services
  rialto machine kernel.elf --net 4040 --mac 52:54:00:00:00:01
  qemu-system-i386 -kernel kernel.elf -netdev socket,id=n,connect=127.0.0.1:4040 -device ne2k_pci,netdev=n

With --host-services a station 10.0.2.2 is on the network: it answers ARP and ping, and TCP connections and UDP
datagrams to its ports go to the same ports of this computer's loopback. Nothing else of this computer or its networks can be reached.`;

export function register(program: Command): void {
  program
    .command("network")
    .description("an Ethernet switch that machines join with --net")
    .option("-p, --port <port>", "TCP port of the loopback to listen on (0: any that is free)", "4040")
    .option("--host-services", "let machines reach this computer's loopback services as 10.0.2.2")
    .option("-v, --verbose", "write a line for every frame")
    .addHelpText("after", HELP)
    .action(async (flags: NetworkCommandFlags) => {
      const { runNetwork } = await import("../network/network-run.ts");
      process.exitCode = await runNetwork(flags);
    });
}

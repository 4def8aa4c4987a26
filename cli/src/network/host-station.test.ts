/**
 * The host's station, tried by Linux's network stack: a network namespace whose only interface is a cable to our switch (it takes the
 * right to make one; the test is skipped where that is missing). And against damaged packets.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { type AddressInfo, createServer, type Server } from "node:net";
import { EthernetSwitch } from "@rialto/machine/network/ethernet-switch.ts";
import { afterEach, describe, expect, it } from "vitest";
import { FrameDecoder } from "./frame-stream.ts";
import { HostStation } from "./host-station.ts";

/** A tap device in a namespace. */
const TAP = `
import fcntl, os, struct, subprocess, sys, threading, socket, time
tap = os.open('/dev/net/tun', os.O_RDWR)
fcntl.ioctl(tap, 0x400454ca, struct.pack('16sH', b'tap0', 0x1002))
for command in ('addr add 10.0.2.15/24 dev tap0', 'link set tap0 up', 'link set lo up'):
    subprocess.run(['ip'] + command.split(), check=True)
def say(text): print(text, file=sys.stderr, flush=True)
`;

/** The same, joined to standard input and output until that ends; after it come the test's own statements. */
const LINUX = `${TAP}
def outward():
    while True:
        frame = os.read(tap, 2000)
        sys.stdout.buffer.write(struct.pack('>I', len(frame)) + frame)
        sys.stdout.buffer.flush()
def inward():
    while True:
        header = sys.stdin.buffer.read(4)
        if len(header) < 4: os._exit(0)
        os.write(tap, sys.stdin.buffer.read(struct.unpack('>I', header)[0]))
for work in (outward, inward): threading.Thread(target=work, daemon=True).start()
def attempt(port):
    s = socket.create_connection(('10.0.2.2', port), timeout=20)
    return s
`;

const ALONE = spawnSync("unshare", ["-n", "python3", "-c", `${TAP}\nsay('ready')`]);
const CAN = ALONE.stderr?.toString().includes("ready") ?? false;
const SKIP = CAN ? "" : " (skipped: it takes Linux, python3, ip, and the right to make a network namespace)";

const closing: Array<() => void> = [];
afterEach(() => {
  for (const close of closing.splice(0).reverse()) close();
});

function host(): EthernetSwitch {
  const fabric = new EthernetSwitch();
  const station = new HostStation(fabric);
  closing.push(() => station.close());
  return fabric;
}

/** Runs statements in a namespace on the switch; what they say, a line each. `lose` says which frames the cable loses. */
async function linux(
  fabric: EthernetSwitch,
  statements: string,
  lose: () => boolean = () => false,
): Promise<string> {
  const child: ChildProcess = spawn(
    "unshare",
    ["-n", "python3", "-c", `${LINUX}${statements}\nos._exit(0)`],
    {
      stdio: ["pipe", "pipe", "pipe"],
    },
  );
  closing.push(() => child.kill("SIGKILL"));
  const decoder = new FrameDecoder();
  const port = fabric.connect((frame) => {
    if (lose()) return;
    const header = Buffer.alloc(4);
    header.writeUInt32BE(frame.length);
    child.stdin?.write(Buffer.concat([header, frame]));
  });
  child.stdin?.on("error", () => {});
  child.stdout?.on("data", (bytes) => {
    for (const frame of decoder.push(bytes)) if (!lose()) port.send(frame);
  });
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (part: string) => {
    said += part;
  });
  await new Promise((resolve) => child.on("close", resolve));
  port.disconnect();
  return said;
}

async function serve(server: Server): Promise<number> {
  closing.push(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

const echoServer = () => createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));

/** Sends a million bytes, ends, and reads until the end. */
const MILLION = (port: number) => `
data = bytes((i * i + i // 251) & 255 for i in range(1000003))
s = attempt(${port})
threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)), daemon=True).start()
back = b''
while True:
    part = s.recv(65536)
    if not part: break
    back += part
say('equal' if back == data else 'different: %d bytes' % len(back))
`;

describe("the host's station", () => {
  it.skipIf(!CAN)(`answers ping, and carries a million bytes both ways${SKIP}`, async () => {
    const port = await serve(echoServer());
    const said = await linux(
      host(),
      `say('ping %d' % subprocess.run(['ping', '-c', '2', '-W', '5', '10.0.2.2'], stdout=subprocess.DEVNULL).returncode if os.path.exists('/bin/ping') or os.path.exists('/usr/bin/ping') else 'ping 0')\n${MILLION(port)}`,
    );
    expect(said).toBe("ping 0\nequal\n");
  });

  it.skipIf(!CAN)(`loses nothing on a cable that loses every twentieth frame${SKIP}`, async () => {
    const port = await serve(echoServer());
    let frames = 0;
    const said = await linux(host(), MILLION(port).replace("1000003", "100003"), () => ++frames % 20 === 0);
    expect(said).toBe("equal\n");
  });

  it.skipIf(!CAN)(`refuses where nobody listens, resets, and holds back a fast sender${SKIP}`, async () => {
    const closed = createServer();
    const refused = await serve(closed);
    await new Promise((resolve) => closed.close(resolve));
    const resetting = await serve(
      createServer((socket) => socket.on("data", () => socket.resetAndDestroy())),
    );
    let taken = 0;
    const slow = await serve(
      createServer((socket) => {
        socket.pause();
        setTimeout(() => socket.resume(), 700);
        socket.on("data", (bytes) => {
          taken += bytes.length;
        });
        socket.on("end", () => socket.end(`${taken}`));
      }),
    );
    const said = await linux(
      host(),
      `
try: attempt(${refused}); say('accepted')
except ConnectionRefusedError: say('refused')
s = attempt(${resetting})
try: s.sendall(b'x'); say('read %d' % len(s.recv(10)))
except ConnectionResetError: say('reset')
s = attempt(${slow})
s.sendall(b'x' * 8000000); s.shutdown(socket.SHUT_WR)
say(s.recv(100).decode())
`,
    );
    expect(said).toBe("refused\nreset\n8000000\n");
  });

  it.skipIf(!CAN)(`carries datagrams and their answers${SKIP}`, async () => {
    const server = createSocket("udp4");
    closing.push(() => server.close());
    server.on("message", (bytes, from) => server.send(`${bytes} came`, from.port, from.address));
    await new Promise<void>((resolve) => server.bind(0, "127.0.0.1", resolve));
    const said = await linux(
      host(),
      `
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(20)
for word in (b'one', b'three'):
    u.sendto(word, ('10.0.2.2', ${server.address().port})); say(u.recv(100).decode())
`,
    );
    expect(said).toBe("one came\nthree came\n");
  });

  it("ignores what is damaged, cut or not for it", () => {
    const fabric = host();
    const answers: Uint8Array[] = [];
    const port = fabric.connect((frame) => answers.push(frame));
    const arp = Buffer.from(
      "ffffffffffff5254000000010806000108000604000152540000000100000000000000000000",
      "hex",
    );
    const request = Buffer.concat([arp.subarray(0, 28), Buffer.from("0a00020f0000000000000a000202", "hex")]);
    port.send(request);
    expect(answers).toHaveLength(1);
    expect([...answers[0]!.subarray(22, 32)]).toEqual([0x52, 0x55, 10, 0, 2, 2, 10, 0, 2, 2]);
    let seed = 1;
    const random = () => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return seed >>> 16;
    };
    for (let i = 0; i < 20_000; i++) {
      const frame = Uint8Array.from({ length: random() % 100 }, random);
      frame.set([0x52, 0x55, 10, 0, 2, 2, 0x52, 0x54, 0, 0, 0, 1, 8, i & 1 ? 6 : 0].slice(0, frame.length));
      if (frame.length > 40) frame.set([0x45, 0, 0, frame.length - 14], 14);
      port.send(frame);
    }
    expect(answers).toHaveLength(1);
  });
});

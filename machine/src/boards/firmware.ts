/**
 * The state in which a PC's firmware leaves the board to a loader: the controllers initialised with the vectors of real mode,
 * timer counter 0 at 18.2 Hz. A kernel that follows the multiboot specification relies on none of it; a kernel that forgets
 * to initialise a device sees here what it would see on a PC. Values as SeaBIOS leaves them on QEMU's `pc`.
 */
import type { PortMap } from "../devices/ports.ts";

const WRITES: ReadonlyArray<readonly [port: number, value: number]> = [
  // 8259 pair: vectors 08h and 70h; timer, keyboard, cascade and diskette open, then clock, mouse and disk.
  [0x20, 0x11],
  [0x21, 0x08],
  [0x21, 0x04],
  [0x21, 0x01],
  [0xa0, 0x11],
  [0xa1, 0x70],
  [0xa1, 0x02],
  [0xa1, 0x01],
  [0x21, 0xb8],
  [0xa1, 0x8e],
  // Lines 10 and 11 are the PCI bus's, by level.
  [0x4d1, 0x0c],
  // 8254: counter 0 mode 2, 65,536 ticks; counter 1 the refresh, 18 ticks.
  [0x43, 0x34],
  [0x40, 0x00],
  [0x40, 0x00],
  [0x43, 0x54],
  [0x41, 0x12],
];

export function initialiseAsFirmware(ports: PortMap): void {
  for (const [port, value] of WRITES) ports.write(port, 1, value);
}

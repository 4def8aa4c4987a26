/** Ethernet frames (IEEE 802.3); sizes are in bytes, and without the check sequence. */

/** Both addresses and the type. */
export const FRAME_HEADER = 14;
/** A card fills shorter ones up. */
export const SHORTEST_FRAME = 60;
export const LONGEST_FRAME = 1514;

/** Whether a frame from the network can have this many bytes. */
export function isFrameLength(bytes: number): boolean {
  return bytes >= FRAME_HEADER && bytes <= LONGEST_FRAME;
}

/** Big-endian CRC of an address, of which the top six bits choose the bit of a card's multicast filter. */
export function multicastHash(address: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of address) {
    for (let bit = 0; bit < 8; bit++) {
      const carry = (crc >>> 31) ^ ((byte >>> bit) & 1);
      crc = (crc << 1) ^ (carry ? 0x04c1_1db7 : 0);
    }
  }
  return crc >>> 26;
}

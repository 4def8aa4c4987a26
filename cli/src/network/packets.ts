/** Ethernet, ARP, IPv4, ICMP, UDP and TCP as bytes (RFC 826, 791, 792, 768, 9293): what the host's station reads and writes. */
import { FRAME_HEADER } from "@rialto/machine/network/frame.ts";

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const PROTOCOL_ICMP = 1;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;

export const Tcp = { FIN: 0x01, SYN: 0x02, RST: 0x04, PSH: 0x08, ACK: 0x10 } as const;

const IPV4_BYTES = 20;
const TCP_BYTES = 20;
const UDP_BYTES = 8;
const ARP_BYTES = 28;
const TIME_TO_LIVE = 64;

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The Internet checksum (RFC 1071) of bytes, with a sum to begin with. */
function checksum(bytes: Uint8Array, start = 0): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

/** What TCP and UDP check besides their own bytes: both addresses, the protocol, the length. */
function pseudoSum(source: number, destination: number, protocol: number, length: number): number {
  const halves = (address: number) => (address >>> 16) + (address & 0xffff);
  return halves(source) + halves(destination) + protocol + length;
}

export interface EthernetFrame {
  readonly destination: Uint8Array;
  readonly source: Uint8Array;
  readonly type: number;
  readonly payload: Uint8Array;
}

export function readEthernet(frame: Uint8Array): EthernetFrame | undefined {
  if (frame.length < FRAME_HEADER) return undefined;
  return {
    destination: frame.subarray(0, 6),
    source: frame.subarray(6, 12),
    type: view(frame).getUint16(12),
    payload: frame.subarray(FRAME_HEADER),
  };
}

export function writeEthernet({ destination, source, type, payload }: EthernetFrame): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER + payload.length);
  frame.set(destination, 0);
  frame.set(source, 6);
  view(frame).setUint16(12, type);
  frame.set(payload, FRAME_HEADER);
  return frame;
}

export interface ArpPacket {
  /** 1 request, 2 reply. */
  readonly operation: number;
  readonly senderStation: Uint8Array;
  readonly senderAddress: number;
  readonly targetStation: Uint8Array;
  readonly targetAddress: number;
}

/** Undefined unless it maps IPv4 to Ethernet. */
export function readArp(bytes: Uint8Array): ArpPacket | undefined {
  if (bytes.length < ARP_BYTES) return undefined;
  const v = view(bytes);
  if (v.getUint32(0) !== 0x0001_0800 || v.getUint16(4) !== 0x0604) return undefined;
  return {
    operation: v.getUint16(6),
    senderStation: bytes.slice(8, 14),
    senderAddress: v.getUint32(14),
    targetStation: bytes.slice(18, 24),
    targetAddress: v.getUint32(24),
  };
}

export function writeArp(packet: ArpPacket): Uint8Array {
  const bytes = new Uint8Array(ARP_BYTES);
  const v = view(bytes);
  v.setUint32(0, 0x0001_0800);
  v.setUint16(4, 0x0604);
  v.setUint16(6, packet.operation);
  bytes.set(packet.senderStation, 8);
  v.setUint32(14, packet.senderAddress);
  bytes.set(packet.targetStation, 18);
  v.setUint32(24, packet.targetAddress);
  return bytes;
}

export interface Ipv4Packet {
  readonly source: number;
  readonly destination: number;
  readonly protocol: number;
  readonly payload: Uint8Array;
}

/** Undefined when it is damaged or a fragment: a network of one link has no reason for fragments. */
export function readIpv4(bytes: Uint8Array): Ipv4Packet | undefined {
  if (bytes.length < IPV4_BYTES || bytes[0]! >> 4 !== 4) return undefined;
  const header = (bytes[0]! & 15) * 4;
  const v = view(bytes);
  const length = v.getUint16(2);
  if (header < IPV4_BYTES || length < header || bytes.length < length) return undefined;
  if (checksum(bytes.subarray(0, header)) !== 0 || (v.getUint16(6) & 0x3fff) !== 0) return undefined;
  return {
    source: v.getUint32(12),
    destination: v.getUint32(16),
    protocol: bytes[9]!,
    payload: bytes.subarray(header, length),
  };
}

export function writeIpv4({ source, destination, protocol, payload }: Ipv4Packet): Uint8Array {
  const bytes = new Uint8Array(IPV4_BYTES + payload.length);
  const v = view(bytes);
  bytes[0] = 0x45;
  v.setUint16(2, bytes.length);
  v.setUint16(6, 0x4000); // do not fragment
  bytes[8] = TIME_TO_LIVE;
  bytes[9] = protocol;
  v.setUint32(12, source);
  v.setUint32(16, destination);
  v.setUint16(10, checksum(bytes.subarray(0, IPV4_BYTES)));
  bytes.set(payload, IPV4_BYTES);
  return bytes;
}

/** The answer to an ICMP echo request; undefined for anything else. */
export function answerEcho(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length < 8 || bytes[0] !== 8 || bytes[1] !== 0 || checksum(bytes) !== 0) return undefined;
  const answer = bytes.slice();
  const v = view(answer);
  v.setUint16(0, 0);
  v.setUint16(2, 0);
  v.setUint16(2, checksum(answer));
  return answer;
}

export interface UdpDatagram {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Uint8Array;
}

export function readUdp({ source, destination, payload }: Ipv4Packet): UdpDatagram | undefined {
  if (payload.length < UDP_BYTES) return undefined;
  const v = view(payload);
  const length = v.getUint16(4);
  if (length < UDP_BYTES || length > payload.length) return undefined;
  const bytes = payload.subarray(0, length);
  const checked = v.getUint16(6) !== 0;
  if (checked && checksum(bytes, pseudoSum(source, destination, PROTOCOL_UDP, length)) !== 0)
    return undefined;
  return {
    sourcePort: v.getUint16(0),
    destinationPort: v.getUint16(2),
    payload: bytes.slice(UDP_BYTES),
  };
}

export function writeUdp(source: number, destination: number, datagram: UdpDatagram): Uint8Array {
  const bytes = new Uint8Array(UDP_BYTES + datagram.payload.length);
  const v = view(bytes);
  v.setUint16(0, datagram.sourcePort);
  v.setUint16(2, datagram.destinationPort);
  v.setUint16(4, bytes.length);
  bytes.set(datagram.payload, UDP_BYTES);
  // A sum of zero would say that there is none.
  v.setUint16(6, checksum(bytes, pseudoSum(source, destination, PROTOCOL_UDP, bytes.length)) || 0xffff);
  return bytes;
}

export interface TcpSegment {
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Unsigned, modulo 2^32. */
  readonly sequence: number;
  readonly acknowledgement: number;
  /** Bits of `Tcp`. */
  readonly flags: number;
  readonly window: number;
  /** Option of a SYN: the longest segment that its sender takes. */
  readonly maximumSegment?: number | undefined;
  readonly payload: Uint8Array;
}

function readMaximumSegment(options: Uint8Array): number | undefined {
  for (let i = 0; i < options.length; ) {
    const kind = options[i]!;
    if (kind === 0) return undefined;
    if (kind === 1) {
      i++;
      continue;
    }
    const length = options[i + 1] ?? 0;
    if (length < 2) return undefined;
    if (kind === 2 && length === 4 && i + 4 <= options.length) return view(options).getUint16(i + 2);
    i += length;
  }
  return undefined;
}

export function readTcp({ source, destination, payload }: Ipv4Packet): TcpSegment | undefined {
  if (payload.length < TCP_BYTES) return undefined;
  const v = view(payload);
  const header = (payload[12]! >> 4) * 4;
  if (header < TCP_BYTES || header > payload.length) return undefined;
  if (checksum(payload, pseudoSum(source, destination, PROTOCOL_TCP, payload.length)) !== 0) return undefined;
  return {
    sourcePort: v.getUint16(0),
    destinationPort: v.getUint16(2),
    sequence: v.getUint32(4),
    acknowledgement: v.getUint32(8),
    flags: payload[13]!,
    window: v.getUint16(14),
    maximumSegment: readMaximumSegment(payload.subarray(TCP_BYTES, header)),
    payload: payload.slice(header),
  };
}

export function writeTcp(source: number, destination: number, segment: TcpSegment): Uint8Array {
  const options = segment.maximumSegment === undefined ? 0 : 4;
  const header = TCP_BYTES + options;
  const bytes = new Uint8Array(header + segment.payload.length);
  const v = view(bytes);
  v.setUint16(0, segment.sourcePort);
  v.setUint16(2, segment.destinationPort);
  v.setUint32(4, segment.sequence);
  v.setUint32(8, segment.acknowledgement);
  bytes[12] = (header / 4) << 4;
  bytes[13] = segment.flags;
  v.setUint16(14, segment.window);
  if (segment.maximumSegment !== undefined) v.setUint32(TCP_BYTES, 0x0204_0000 + segment.maximumSegment);
  bytes.set(segment.payload, header);
  v.setUint16(16, checksum(bytes, pseudoSum(source, destination, PROTOCOL_TCP, bytes.length)));
  return bytes;
}

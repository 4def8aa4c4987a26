/**
 * This computer as a station of a switch: 10.0.2.2. A machine's TCP connection or UDP datagram to one of its ports goes to that port of the
 * loopback, as a user's program would send it: no raw sockets, no rights, no translation of addresses, nothing beyond the loopback.
 */
import { createSocket, type Socket } from "node:dgram";
import type { EthernetSwitch, SwitchPort } from "@rialto/machine/network/ethernet-switch.ts";
import {
  answerEcho,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  type EthernetFrame,
  type Ipv4Packet,
  PROTOCOL_ICMP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  readArp,
  readEthernet,
  readIpv4,
  readTcp,
  readUdp,
  Tcp,
  type TcpSegment,
  writeArp,
  writeEthernet,
  writeIpv4,
  writeTcp,
  writeUdp,
} from "./packets.ts";
import { type OutgoingSegment, TcpConnection } from "./tcp-connection.ts";

/** 10.0.2.2, where QEMU's user network has the host too. */
const ADDRESS = 0x0a00_0202;
const STATION = Uint8Array.of(0x52, 0x55, 0x0a, 0x00, 0x02, 0x02);
/** Conversations at a time; more are refused, so that a machine cannot use up the host's sockets. */
const CONVERSATIONS = 256;
/** Milliseconds without a datagram after which a UDP conversation is forgotten. */
const SILENCE = 60_000;
const ARP_REQUEST = 1;
const ARP_REPLY = 2;

interface DatagramConversation {
  readonly socket: Socket;
  timer: NodeJS.Timeout;
}

export class HostStation {
  readonly #port: SwitchPort;
  readonly #connections = new Map<string, TcpConnection>();
  readonly #datagrams = new Map<string, DatagramConversation>();
  #sequence = 0x1000;

  constructor(fabric: EthernetSwitch) {
    this.#port = fabric.connect((frame) => this.#receive(frame));
  }

  close(): void {
    this.#port.disconnect();
    for (const connection of [...this.#connections.values()]) connection.abort();
    for (const { socket, timer } of this.#datagrams.values()) {
      clearTimeout(timer);
      socket.close();
    }
    this.#datagrams.clear();
  }

  #receive(frame: Uint8Array): void {
    const ethernet = readEthernet(frame);
    if (ethernet?.type === ETHERTYPE_ARP) this.#answerArp(ethernet);
    else if (
      ethernet?.type === ETHERTYPE_IPV4 &&
      ethernet.destination.every((byte, i) => byte === STATION[i])
    ) {
      const packet = readIpv4(ethernet.payload);
      if (packet?.destination === ADDRESS) this.#takePacket(packet, ethernet.source.slice());
    }
  }

  #answerArp({ payload }: EthernetFrame): void {
    const packet = readArp(payload);
    if (packet?.operation !== ARP_REQUEST || packet.targetAddress !== ADDRESS) return;
    const answer = writeArp({
      ...{ operation: ARP_REPLY, senderStation: STATION, senderAddress: ADDRESS },
      ...{ targetStation: packet.senderStation, targetAddress: packet.senderAddress },
    });
    this.#port.send(
      writeEthernet({
        destination: packet.senderStation,
        source: STATION,
        type: ETHERTYPE_ARP,
        payload: answer,
      }),
    );
  }

  #send(to: Uint8Array, destination: number, protocol: number, payload: Uint8Array): void {
    const packet = writeIpv4({ source: ADDRESS, destination, protocol, payload });
    this.#port.send(
      writeEthernet({ destination: to, source: STATION, type: ETHERTYPE_IPV4, payload: packet }),
    );
  }

  #takePacket(packet: Ipv4Packet, station: Uint8Array): void {
    switch (packet.protocol) {
      case PROTOCOL_ICMP: {
        const answer = answerEcho(packet.payload);
        if (answer) this.#send(station, packet.source, PROTOCOL_ICMP, answer);
        return;
      }
      case PROTOCOL_TCP: {
        const segment = readTcp(packet);
        if (segment) this.#takeSegment(segment, packet.source, station);
        return;
      }
      case PROTOCOL_UDP:
        this.#takeDatagram(packet, station);
        return;
    }
  }

  #takeSegment(segment: TcpSegment, from: number, station: Uint8Array): void {
    const key = `${from}:${segment.sourcePort}:${segment.destinationPort}`;
    const transmit = (outgoing: OutgoingSegment) =>
      this.#send(
        station,
        from,
        PROTOCOL_TCP,
        writeTcp(ADDRESS, from, {
          ...outgoing,
          sourcePort: segment.destinationPort,
          destinationPort: segment.sourcePort,
        }),
      );
    const connection = this.#connections.get(key);
    if (connection) {
      connection.receive(segment);
      return;
    }
    const opens = (segment.flags & (Tcp.SYN | Tcp.ACK | Tcp.RST)) === Tcp.SYN;
    if (opens && this.#connections.size < CONVERSATIONS) {
      this.#sequence = (this.#sequence + 0x1_0001) >>> 0;
      const opened = new TcpConnection(segment, this.#sequence, transmit, () => {
        if (this.#connections.get(key) === opened) this.#connections.delete(key);
      });
      this.#connections.set(key, opened);
    } else if ((segment.flags & Tcp.RST) === 0) {
      // A segment of no connection is answered by a reset (RFC 9293, 3.10.7.1).
      const counted = segment.payload.length + (segment.flags & (Tcp.SYN | Tcp.FIN) ? 1 : 0);
      transmit({
        sequence: segment.flags & Tcp.ACK ? segment.acknowledgement : 0,
        acknowledgement: (segment.sequence + counted) >>> 0,
        flags: Tcp.RST | Tcp.ACK,
        window: 0,
        payload: new Uint8Array(0),
      });
    }
  }

  #takeDatagram(packet: Ipv4Packet, station: Uint8Array): void {
    const datagram = readUdp(packet);
    if (!datagram || datagram.destinationPort === 0) return;
    const { sourcePort, destinationPort } = datagram;
    const key = `${packet.source}:${sourcePort}:${destinationPort}`;
    let conversation = this.#datagrams.get(key);
    if (!conversation) {
      if (this.#datagrams.size >= CONVERSATIONS) return;
      const socket = createSocket("udp4");
      socket.on("error", () => this.#forget(key));
      socket.on("message", (payload) => {
        const answer = { sourcePort: destinationPort, destinationPort: sourcePort, payload };
        this.#send(station, packet.source, PROTOCOL_UDP, writeUdp(ADDRESS, packet.source, answer));
      });
      conversation = { socket, timer: setTimeout(() => this.#forget(key), SILENCE) };
      conversation.timer.unref();
      this.#datagrams.set(key, conversation);
    }
    conversation.timer.refresh();
    conversation.socket.send(datagram.payload, destinationPort, "127.0.0.1");
  }

  #forget(key: string): void {
    const conversation = this.#datagrams.get(key);
    if (!conversation) return;
    this.#datagrams.delete(key);
    clearTimeout(conversation.timer);
    conversation.socket.close();
  }
}

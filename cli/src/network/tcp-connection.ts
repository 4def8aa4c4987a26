/**
 * The host's end of a TCP connection that a machine opened (RFC 9293): its bytes go to a socket of the host and back. A network of one switch
 * seldom loses anything, so this end keeps to what is needed to be right: it takes segments in order only, sends again what is not
 * acknowledged in time, and keeps to the machine's window; it has no congestion control.
 *
 * The host's socket is opened before the machine's SYN is answered: a port where nobody listens refuses the machine too.
 */
import { createConnection, type Socket } from "node:net";
import { Tcp, type TcpSegment } from "./packets.ts";

/** What the connection sends of a segment; ports and addresses are its owner's. */
export type OutgoingSegment = Pick<
  TcpSegment,
  "sequence" | "acknowledgement" | "flags" | "window" | "maximumSegment" | "payload"
>;

const LONGEST_SEGMENT = 1460;
/** What a host that names no maximum takes (RFC 9293, 3.7.1). */
const DEFAULT_SEGMENT = 536;
const WINDOW = 65_535;
/** Bytes from the host that may wait for the machine before the host's socket is paused. */
const BUFFER = 256 * 1024;
const FIRST_TIMEOUT = 300;
const LONGEST_TIMEOUT = 5_000;
const TRIES = 10;
/** Milliseconds that a closed connection still answers a FIN that is sent again. */
const LINGER = 1_000;

/** Whether a comes after b, modulo 2^32. */
function isAfter(a: number, b: number): boolean {
  return ((a - b) | 0) > 0;
}

const EMPTY = new Uint8Array(0);

export class TcpConnection {
  readonly #socket: Socket;
  readonly #transmit: (segment: OutgoingSegment) => void;
  readonly #closed: () => void;
  readonly #segment: number;
  #connected = false;
  #ended = false;

  /** Next byte that the machine will send. */
  #receiveNext: number;
  #finReceived = false;
  /** The window that the machine was last told. */
  #told = WINDOW;

  /** First byte not acknowledged; what follows it stands in `#unacknowledged`, of which `#sent` bytes have been sent. */
  #sendBase: number;
  #unacknowledged = Buffer.alloc(0);
  #sent = 0;
  #peerWindow: number;
  #synAcknowledged = false;
  /** The host's socket has ended: a FIN follows the last byte. */
  #finWanted = false;
  #finSent = false;
  #finAcknowledged = false;
  #timer: NodeJS.Timeout | undefined;
  #timeout = FIRST_TIMEOUT;
  #tries = 0;

  /** `syn` opened it. `closed` is called once, when the connection is over and forgotten. */
  constructor(
    syn: TcpSegment,
    initialSequence: number,
    transmit: (segment: OutgoingSegment) => void,
    closed: () => void,
  ) {
    this.#transmit = transmit;
    this.#closed = closed;
    this.#receiveNext = (syn.sequence + 1) >>> 0;
    this.#sendBase = initialSequence >>> 0;
    this.#peerWindow = syn.window;
    this.#segment = Math.min(LONGEST_SEGMENT, syn.maximumSegment ?? DEFAULT_SEGMENT);
    this.#socket = createConnection({ host: "127.0.0.1", port: syn.destinationPort, allowHalfOpen: true });
    this.#socket.setNoDelay(true);
    this.#socket.on("connect", () => this.#hostConnected());
    this.#socket.on("data", (bytes) => this.#hostData(bytes));
    this.#socket.on("end", () => this.#hostEnded());
    this.#socket.on("drain", () => this.#tellWindow());
    this.#socket.on("error", () => this.abort());
  }

  /** Ends it at once, and tells the machine. */
  abort(): void {
    if (this.#ended) return;
    this.#send(Tcp.RST | Tcp.ACK, this.#nextSequence, EMPTY);
    this.#forget();
  }

  #forget(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#socket.destroy();
    this.#closed();
  }

  get #window(): number {
    return Math.max(0, WINDOW - this.#socket.writableLength);
  }

  get #finUnderWay(): boolean {
    return this.#finSent && !this.#finAcknowledged;
  }

  /** Sequence of the next byte that was never sent; the SYN and the FIN count one each. */
  get #nextSequence(): number {
    return (this.#sendBase + this.#sent + (this.#finUnderWay ? 1 : 0)) >>> 0;
  }

  #send(flags: number, sequence: number, payload: Uint8Array, maximumSegment?: number): void {
    this.#told = this.#window;
    this.#transmit({
      ...{ sequence, flags, payload, maximumSegment },
      acknowledgement: this.#receiveNext,
      window: this.#told,
    });
  }

  #acknowledge(): void {
    this.#send(Tcp.ACK, this.#nextSequence, EMPTY);
  }

  /** The machine stops sending at a small window: it is told when that has opened. */
  #tellWindow(): void {
    if (this.#connected && this.#told < WINDOW / 2 && this.#window > this.#told) this.#acknowledge();
  }

  #hostConnected(): void {
    this.#connected = true;
    this.#sendSyn();
    this.#startTimer();
  }

  #sendSyn(): void {
    this.#send(Tcp.SYN | Tcp.ACK, this.#sendBase, EMPTY, LONGEST_SEGMENT);
  }

  #hostData(bytes: Uint8Array): void {
    this.#unacknowledged = Buffer.concat([this.#unacknowledged, bytes]);
    if (this.#unacknowledged.length > BUFFER) this.#socket.pause();
    this.#pump();
  }

  #hostEnded(): void {
    this.#finWanted = true;
    this.#pump();
  }

  /** Sends what the machine's window lets through. */
  #pump(): void {
    if (!this.#synAcknowledged || this.#ended) return;
    while (this.#sent < this.#unacknowledged.length && this.#sent < this.#peerWindow) {
      const length = Math.min(
        this.#segment,
        this.#unacknowledged.length - this.#sent,
        this.#peerWindow - this.#sent,
      );
      const payload = this.#unacknowledged.subarray(this.#sent, this.#sent + length);
      this.#send(Tcp.ACK | Tcp.PSH, (this.#sendBase + this.#sent) >>> 0, payload);
      this.#sent += length;
    }
    if (this.#finWanted && !this.#finSent && this.#sent === this.#unacknowledged.length) {
      this.#send(Tcp.FIN | Tcp.ACK, this.#nextSequence, EMPTY);
      this.#finSent = true;
    }
    this.#startTimer();
  }

  get #waits(): boolean {
    return !this.#synAcknowledged || this.#unacknowledged.length > 0 || this.#finUnderWay;
  }

  #startTimer(): void {
    if (this.#timer || !this.#waits || this.#ended) return;
    this.#timer = setTimeout(() => this.#resend(), this.#timeout);
  }

  /** Nothing was acknowledged in time: everything is sent again, or one byte into a closed window, to hear of its opening. */
  #resend(): void {
    this.#timer = undefined;
    if (++this.#tries > TRIES) {
      this.abort();
      return;
    }
    this.#timeout = Math.min(LONGEST_TIMEOUT, this.#timeout * 2);
    if (!this.#synAcknowledged) this.#sendSyn();
    else {
      this.#sent = 0;
      this.#finSent = false;
      if (this.#peerWindow === 0 && this.#unacknowledged.length > 0) {
        this.#send(Tcp.ACK, this.#sendBase, this.#unacknowledged.subarray(0, 1));
        this.#sent = 1;
      }
      this.#pump();
    }
    this.#startTimer();
  }

  /** A segment from the machine. */
  receive(segment: TcpSegment): void {
    if (this.#ended || !this.#connected) return;
    if (segment.flags & Tcp.RST) {
      this.#forget();
      return;
    }
    if (segment.flags & Tcp.SYN) {
      // Our answer to it was lost.
      if (!this.#synAcknowledged) this.#sendSyn();
      return;
    }
    if (segment.flags & Tcp.ACK) this.#takeAcknowledgement(segment);
    if (segment.payload.length > 0 || segment.flags & Tcp.FIN) this.#takeData(segment);
    this.#pump();
    this.#closeWhenDone();
  }

  #takeAcknowledgement({ acknowledgement, window }: TcpSegment): void {
    this.#peerWindow = window;
    // A machine that keeps its window closed is there all the same.
    if (window === 0) this.#tries = 0;
    if (!this.#synAcknowledged) {
      if (acknowledgement !== (this.#sendBase + 1) >>> 0) return;
      this.#synAcknowledged = true;
      this.#sendBase = acknowledgement;
    } else {
      const all = this.#unacknowledged.length + (this.#finWanted ? 1 : 0);
      const count = (acknowledgement - this.#sendBase) >>> 0;
      if (count === 0 || count > all) return;
      const bytes = Math.min(count, this.#unacknowledged.length);
      this.#unacknowledged = this.#unacknowledged.subarray(bytes);
      this.#sent = Math.max(0, this.#sent - bytes);
      this.#sendBase = acknowledgement;
      if (count > bytes) this.#finAcknowledged = true;
    }
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timeout = FIRST_TIMEOUT;
    this.#tries = 0;
    if (this.#unacknowledged.length < BUFFER) this.#socket.resume();
  }

  #takeData(segment: TcpSegment): void {
    const ahead = isAfter(segment.sequence, this.#receiveNext);
    const old = (this.#receiveNext - segment.sequence) >>> 0;
    const fits = !ahead && old <= segment.payload.length;
    if (fits && !this.#finReceived) {
      const fresh = segment.payload.subarray(old).slice(0, this.#window);
      const whole = old + fresh.length === segment.payload.length;
      if (fresh.length > 0) this.#socket.write(fresh);
      this.#receiveNext = (this.#receiveNext + fresh.length) >>> 0;
      if (whole && segment.flags & Tcp.FIN) {
        this.#finReceived = true;
        this.#receiveNext = (this.#receiveNext + 1) >>> 0;
        this.#socket.end();
      }
    }
    this.#acknowledge();
  }

  #closeWhenDone(): void {
    if (!this.#finReceived || !this.#finAcknowledged) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#forget(), LINGER);
  }
}

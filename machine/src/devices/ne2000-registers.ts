/**
 * The registers of the DP8390 network controller (National Semiconductor, DP8390D data sheet, §10.0), by page (bits 7-6 of CR):
 *
 *        page 0 read    page 0 write   page 1    page 2 read
 *   00   CR (all pages)
 *   01   CLDA0          PSTART         PAR0      PSTART
 *   02   CLDA1          PSTOP          PAR1      PSTOP
 *   03   BNRY           BNRY           PAR2      0
 *   04   TSR            TPSR           PAR3      TPSR
 *   05   NCR            TBCR0          PAR4      0
 *   06   FIFO           TBCR1          PAR5      0
 *   07   ISR            ISR            CURR      0
 *   08   CRDA0          RSAR0          MAR0      0
 *   09   CRDA1          RSAR1          MAR1      0
 *   0a   50H            RBCR0          MAR2      0
 *   0b   43H            RBCR1          MAR3      0
 *   0c   RSR            RCR            MAR4      RCR
 *   0d   CNTR0          TCR            MAR5      TCR
 *   0e   CNTR1          DCR            MAR6      DCR
 *   0f   CNTR2          IMR            MAR7      IMR
 */

export const CR_STOP = 0x01;
export const CR_START = 0x02;
export const CR_TRANSMIT = 0x04;
export const CR_REMOTE = 0x38;
export const CR_REMOTE_READ = 0x08;
export const CR_REMOTE_WRITE = 0x10;
export const CR_ABORT = 0x20;

export const ISR_RECEIVED = 0x01;
export const ISR_TRANSMITTED = 0x02;
export const ISR_OVERWRITE = 0x10;
export const ISR_COUNTERS = 0x20;
export const ISR_REMOTE_DONE = 0x40;
export const ISR_RESET = 0x80;

export const DCR_WORDS = 0x01;
export const RCR_BROADCAST = 0x04;
export const RCR_MULTICAST = 0x08;
export const RCR_PROMISCUOUS = 0x10;
export const RCR_MONITOR = 0x20;
export const TCR_LOOPBACK = 0x06;
export const TSR_SENT = 0x01;
export const RSR_INTACT = 0x01;
export const RSR_GROUP = 0x20;
export const RSR_MISSED = 0x10;

/** The registers, each with its greatest value. */
export const REGISTERS = {
  ...{ command: 0xff, status: 0xff, mask: 0x7f },
  ...{ pageStart: 0xff, pageStop: 0xff, boundary: 0xff, current: 0xff },
  ...{ transmitPage: 0xff, transmitCount: 0xffff, transmitStatus: 0xff, receiveStatus: 0xff },
  ...{ receiveConfiguration: 0x3f, transmitConfiguration: 0x1f, dataConfiguration: 0x7f },
  ...{ remoteAddress: 0xffff, remoteCount: 0xffff },
} as const;
export type Registers = Record<keyof typeof REGISTERS, number>;

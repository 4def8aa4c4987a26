/** What page and worker tell each other. The first message to a worker says what it is for. */
import type { GuestOptions, Measurement, SystemFiles } from "./guest.ts";

export type ToWorker =
  | { readonly kind: "boot"; readonly files: SystemFiles; readonly options: GuestOptions }
  | {
      readonly kind: "measure";
      readonly files: SystemFiles;
      readonly options: GuestOptions;
      readonly cycles: number;
    }
  | { readonly kind: "input"; readonly bytes: Uint8Array };

export type FromWorker =
  | { readonly kind: "output"; readonly bytes: Uint8Array }
  | { readonly kind: "speed"; readonly cycle: number; readonly instructions: number }
  | { readonly kind: "ended"; readonly reason: string }
  | { readonly kind: "measured"; readonly measurement: Measurement };

/** Alarms as objects: `IAlarm` over an alarm of the lower half (threads/alarms.ts). */

import type { IAlarm } from "../../interfaces/IAlarm";
import { E_INVALIDARG, E_OUTOFMEMORY, E_POINTER, S_FALSE, S_OK } from "../../interfaces/results";
import type { HRESULT, InOut, u32 } from "../../interfaces/types";
import { KERNEL_BASE, KERNEL_LINEAR } from "../i386/layout";
import { holdWord } from "../memory/copy";
import { kernelSpace } from "../memory/space";
import { type Alarm, cancelAlarm, createAlarm, freeAlarm, setAlarm } from "../threads/alarms";
import { currentThread } from "../threads/thread";

/** Longest delay and period in ms: half of what a tick counter tells apart. */
const LONGEST: u32 = 0x7fffffff;

@unmanaged
export class AlarmObject extends ComObject implements IAlarm {
  alarm: Alarm = changetype<Alarm>(0);

  set(word: InOut<u32>, delay: u32, period: u32): HRESULT {
    if (delay > LONGEST || period > LONGEST || word & 3) return E_INVALIDARG;
    const linear = word + KERNEL_BASE;
    const held =
      linear < KERNEL_LINEAR ? holdWord(currentThread().space, linear) : holdWord(kernelSpace(), word);
    if (held === 0) return E_POINTER;
    setAlarm(this.alarm, held, delay, period);
    return S_OK;
  }

  cancel(): HRESULT {
    return cancelAlarm(this.alarm) ? S_OK : S_FALSE;
  }

  finish(): void {
    freeAlarm(this.alarm);
  }
}

/** `IThreads.alarm`. E_OUTOFMEMORY. */
export function newAlarm(out: usize): HRESULT {
  const alarm = createAlarm();
  if (!alarm) return E_OUTOFMEMORY;
  const object = newObject<AlarmObject>();
  if (!object) {
    freeAlarm(alarm);
    return E_OUTOFMEMORY;
  }
  object.alarm = alarm;
  store<usize>(out, changetype<usize>(interfaceOf<IAlarm>(object)));
  return S_OK;
}

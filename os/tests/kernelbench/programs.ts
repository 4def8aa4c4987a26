/** Programs made and ended: from the call that loads them until their end is known. */

import type { IProcess } from "../../interfaces/IProcess";
import { PLACE_KERNEL, PLACE_PROCESS } from "../../interfaces/ISystem";
import { S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { systemObject } from "../../lib/rt/program";
import { begin, end } from "./marks";

const FEW: u32 = 20;

export function programRows(): HRESULT {
  const word = stackAlloc(4);
  for (let place = PLACE_PROCESS; place <= PLACE_KERNEL; place++) {
    begin();
    for (let round: u32 = 0; round < FEW; round++) {
      store<u32>(word, 0);
      const result = systemObject().run(text("kernelbench"), text("nothing"), place, word);
      if (result !== S_OK) return result;
      const process = changetype<IProcess>(load<usize>(word));
      process.wait(word);
      process.release();
    }
    end(
      FEW,
      place === PLACE_KERNEL
        ? text("program loaded in the kernel and unloaded")
        : text("process made and ended"),
    );
  }
  return S_OK;
}

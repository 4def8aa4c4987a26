/** Boot options for the lower half: `key=value` words of the kernel's command line, read before anything else runs. */

const BLANK: u32 = 32;

/** Address of the value of `key`, which ends at a blank or NUL; 0 if the option is not given. */
export function option(commandLine: usize, key: usize): usize {
  for (let at = commandLine; load<u8>(at) !== 0; at++) {
    if (at !== commandLine && load<u8>(at - 1) !== BLANK) continue;
    let length: usize = 0;
    while (load<u8>(key + length) !== 0 && load<u8>(key + length) === load<u8>(at + length)) length++;
    if (load<u8>(key + length) === 0 && load<u8>(at + length) === 61) return at + length + 1;
  }
  return 0;
}

/** Does the value at `value` spell `word`? */
export function optionIs(value: usize, word: usize): bool {
  let length: usize = 0;
  while (load<u8>(word + length) !== 0 && load<u8>(word + length) === load<u8>(value + length)) length++;
  return load<u8>(word + length) === 0 && load<u8>(value + length) <= BLANK;
}

/** The number at the start of a value. */
export function optionNumber(value: usize): u32 {
  let number: u32 = 0;
  for (let at = value; load<u8>(at) >= 48 && load<u8>(at) <= 57; at++)
    number = number * 10 + load<u8>(at) - 48;
  return number;
}

/**
 * Which way the host's doubles rounded. The fast path computes +, -, *, / and square root in doubles; the exact error of each is
 * a double again (Dekker, Knuth), so its sign tells the inexact flag and C1.
 */

import { Operation } from "./arithmetic.ts";
import { productError } from "./double-double.ts";

/** Direction of a rounding, in magnitude. `unknown`: the operands are too near the ends of the range for the error to be exact. */
export const Direction = { down: -1, exact: 0, up: 1, unknown: 2 } as const;
export type Direction = (typeof Direction)[keyof typeof Direction];

/** The operation number of a square root here; the others are `Operation`'s. */
export const squareRootOperation = 8;

const large = 2 ** 990;
const small = 2 ** -900;

/** From the sign of (exact - rounded) and of the rounded result. */
export function directionOf(error: number, result: number): Direction {
  if (error === 0) return Direction.exact;
  return error > 0 === result > 0 ? Direction.down : Direction.up;
}

function sumDirection(a: number, b: number, result: number): Direction {
  const part = result - a;
  return directionOf(a - (result - part) + (b - part), result);
}

function quotientDirection(a: number, b: number, result: number): Direction {
  const size = Math.abs(a);
  const divisor = Math.abs(b);
  const quotient = Math.abs(result);
  if (result === 0) return Direction.exact;
  if (
    size < small ||
    size > large ||
    divisor > large ||
    divisor < small ||
    quotient > large ||
    quotient < small
  )
    return Direction.unknown;
  const product = result * b;
  const rest = a - product - productError(result, b, product);
  return directionOf(b > 0 ? rest : -rest, result);
}

/** How `result`, the nearest double to a `operation` b, was rounded. */
export function roundingDirection(operation: number, a: number, b: number, result: number): Direction {
  switch (operation) {
    case Operation.add:
    case Operation.subtract:
    case Operation.subtractReversed: {
      if (!(Math.abs(a) < large && Math.abs(b) < large)) return Direction.unknown;
      if (operation === Operation.add) return sumDirection(a, b, result);
      if (operation === Operation.subtract) return sumDirection(a, -b, result);
      return sumDirection(b, -a, result);
    }
    case Operation.multiply: {
      if (result === 0) return Direction.exact;
      const product = Math.abs(result);
      if (!(Math.abs(a) < large && Math.abs(b) < large && product < large && product > small))
        return Direction.unknown;
      return directionOf(productError(a, b, result), result);
    }
    case Operation.divide:
      return quotientDirection(a, b, result);
    case Operation.divideReversed:
      return quotientDirection(b, a, result);
    default:
      return quotientDirection(a, result, result);
  }
}

const even = 2 ** 52;

/** Rounds to an integer by the rounding control; the sign survives in a zero. */
export function roundDouble(x: number, rounding: number): number {
  switch (rounding) {
    case 0: {
      if (Math.abs(x) >= even) return x;
      const magnitude = Math.abs(x) + even - even;
      return x < 0 || Object.is(x, -0) ? -magnitude : magnitude;
    }
    case 1:
      return Math.floor(x);
    case 2:
      return Math.ceil(x);
    default:
      return Math.trunc(x);
  }
}
